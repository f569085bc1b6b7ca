#!/bin/bash
# Runs every client and every mishap against vfio-cused serve on a kernel with CUSE:
# Tests/CUSE/cuse_test.sh [uml|qemu] (default: uml)
set -euo pipefail

kernel=${1:-uml}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"

make --silent -C Tests/Clients
make --silent -C Tests/CUSE
make --silent -C Tests/Plugins
# The VM has no Swift: this is the binary that people install.
swift build -c release --static-swift-stdlib --quiet --product vfio-cused
swift build -c release --static-swift-stdlib --quiet --product waiting-daemon
bin=$(swift build -c release --static-swift-stdlib --show-bin-path)

exec scripts/vm --kernel "$kernel" --timeout 1500 -- \
  Tests/CUSE/guest.sh "$bin" "$root/Tests/Clients/build" "$root/Tests/CUSE/build"
