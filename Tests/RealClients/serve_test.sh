#!/bin/bash
# Runs Debian's driverctl, QEMU and, with --all, DPDK against vfio-cused serve on a kernel with CUSE:
# Tests/RealClients/serve_test.sh [--all] [uml|qemu] (default: uml)
set -euo pipefail

all=
if [[ ${1-} == --all ]]; then all=$1 && shift; fi
kernel=${1:-uml}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
make --silent -C Tests/RealClients/guest
bin=${VFIO_CUSED_BIN:-$(scripts/build --release)}
exec scripts/vm --kernel "$kernel" --timeout 900 -- \
  Tests/RealClients/serve_guest.sh "$bin/vfio-cused" "$all"
