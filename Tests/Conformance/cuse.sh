#!/bin/bash
# Prints what the probe says of `vfio-cused serve` on a kernel with CUSE:
# cuse.sh TOPOLOGY PROBE-ARGUMENT… (in $VM_KERNEL: uml or qemu)
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
bin=${VFIO_CUSED_BIN:-$(scripts/build --release)}
exec scripts/vm --kernel "${VM_KERNEL:-qemu}" --timeout 3000 -- \
  Tests/Conformance/guest.sh "$bin/vfio-cused" "$@"
