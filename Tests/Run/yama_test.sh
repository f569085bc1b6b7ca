#!/bin/bash
# vfio-cused run on a kernel with the Yama security module, which scripts/vm boots:
# Tests/Run/yama_test.sh [DIRECTORY of the binary]
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
make --silent -C Tests/Clients
bin=${1:-}
if [[ -z $bin ]]; then
  swift build -c release --static-swift-stdlib --quiet --product vfio-cused
  bin=$(swift build -c release --static-swift-stdlib --show-bin-path)
fi
exec scripts/vm --kernel qemu --timeout 900 -- \
  Tests/Run/yama_guest.sh "$(realpath "$bin")" "$root/Tests/Clients/build"
