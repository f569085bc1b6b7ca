#!/bin/bash
# Runs in the VM, as root: guest.sh VFIO-CUSED TOPOLOGY PROBE-ARGUMENT…
set -uo pipefail

cused=$1 topology=$2
shift 2
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/serve.sh
. "$here/../VM/serve.sh"

start_serve "$cused" serve --topology "$topology" || { cat "$log" >&2 && exit 1; }
# Filling the table of mappings, which is emulated here, takes longer than the minute of a real kernel.
PROBE_SECONDS=600 "$here/build/probe" "$@"
end_serve
