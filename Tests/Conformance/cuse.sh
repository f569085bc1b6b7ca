#!/bin/bash
# Prints what the probe says of `vfio-cused serve` on a kernel with CUSE:
# cuse.sh TOPOLOGY PROBE-ARGUMENT… (in $VM_KERNEL: uml or qemu)
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
bin=${VFIO_CUSED_BIN:-}
if [[ -z $bin ]]; then
  # The VM has no Swift: this is the binary that people install.
  swift build -c release --static-swift-stdlib --quiet --product vfio-cused
  bin=$(swift build -c release --static-swift-stdlib --show-bin-path)
fi
exec scripts/vm --kernel "${VM_KERNEL:-qemu}" --timeout 3000 -- \
  Tests/Conformance/guest.sh "$bin/vfio-cused" "$@"
