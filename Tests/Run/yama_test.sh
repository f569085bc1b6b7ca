#!/bin/bash
# vfio-cused run on a kernel with the Yama security module, which scripts/vm boots:
# Tests/Run/yama_test.sh [DIRECTORY of the binary]
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
make --silent -C Tests/Clients
bin=${1:-$(scripts/build --release)}
exec scripts/vm --kernel qemu --timeout 900 -- \
  Tests/Run/yama_guest.sh "$(realpath "$bin")" "$root/Tests/Clients/build"
