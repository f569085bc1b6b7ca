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
bin=$(scripts/build --release vfio-cused waiting-daemon)

exec scripts/vm --kernel "$kernel" --timeout 1500 -- \
  Tests/CUSE/guest.sh "$bin" "$root/Tests/Clients/build" "$root/Tests/CUSE/build"
