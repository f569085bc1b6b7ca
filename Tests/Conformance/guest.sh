#!/bin/bash
# Runs in the VM, as root: guest.sh VFIO-CUSED TOPOLOGY PROBE-ARGUMENT…
set -uo pipefail

cused=$1 topology=$2
shift 2
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/serve.sh
. "$here/../VM/serve.sh"

# All on one CPU: a wake-up of another one that is emulated waits for its next tick, of 4 ms.
taskset --pid --cpu-list 0 $$ >/dev/null
start_serve "$cused" serve --topology "$topology" || { cat "$log" >&2 && exit 1; }
# Filling the table of mappings, which is emulated here, takes longer than the minute of a real kernel.
PROBE_SECONDS=600 "$here/build/probe" "$@"
end_serve
