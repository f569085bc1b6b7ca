#!/bin/bash
# Runs in the VM, as root: guest.sh VFIO-CUSED TOPOLOGY PROBE-ARGUMENT…
set -uo pipefail

cused=$1 topology=$2
shift 2
log=/tmp/serve.log
# All on one CPU: a wake-up of another one that is emulated waits for its next tick, of 4 ms.
taskset --pid --cpu-list 0 $$ >/dev/null
"$cused" serve --topology "$topology" 2>"$log" &
daemon=$!
for ((i = 0; i < 1200; i++)); do
  grep -q '^vfio-cused: ready' "$log" && break
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.05
done
if ! grep -q '^vfio-cused: ready' "$log"; then
  cat "$log" >&2
  exit 1
fi
# Filling the table of mappings, which is emulated here, takes longer than the minute of a real kernel.
PROBE_SECONDS=600 "$(dirname -- "${BASH_SOURCE[0]}")/build/probe" "$@"
kill -TERM "$daemon"
wait "$daemon"
