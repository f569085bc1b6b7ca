#!/bin/bash
# Plug-ins and the platform bus under vfio-cused run, on this machine: Tests/Plugins/plugin_test.sh [DIRECTORY
# of the binary]. Tests/CUSE/guest.sh runs the same tables against serve.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh

make --silent -C Tests/Plugins || exit 2
bin=${1:-$(scripts/build)} || exit 2
cused=$bin/vfio-cused build=$here/build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# `client NAME TOPOLOGY COMMAND…`
client() {
  local name=$1 topology=$2 status
  shift 2
  timeout -k 5 60 "$cused" run --log-level warning --topology "$topology" -- "$@" \
    >"$work/out" 2>"$work/log" </dev/null
  status=$?
  if ((status == 0)); then
    ok "$name ($(tail -1 "$work/out"))"
  else
    failed "$name" "exit status $status"
    grep -hv '^ok ' "$work/out" "$work/log" | tail -30
  fi
}

# It does not start: `refuses NAME STATUS WORDS [OPTION…]`
refuses() {
  local name=$1 want=$2 words=$3 said status
  shift 3
  said=$(timeout 20 "$cused" run "$@" -- true 2>&1)
  status=$?
  equal "$name: exit status" "$want" "$status"
  equal "$name: one sentence" 1 "$(wc -l <<<"$said")"
  if [[ $said == *"$words"* ]]; then ok "$name: it says $words"; else failed "$name" "it says: $said"; fi
}

# Faults of plug-ins' devices are in the log: those of a model on either bus, and of a device on its own.
faults() { # COMMAND
  local near='nothing is mapped at IOVA 0x5000c; the nearest mapping is 0x10000-0x10fff'
  case $1 in
    "kit_client pci")
      logged "0000:00:07.0: read of 4 bytes: $near"
      logged "0000:00:07.0: write of 4 bytes: $near"
      ;;
    "kit_client platform") logged "10000.kit: read of 4 bytes: $near" ;;
    odd_client) logged "gone: read of 1 bytes: no IOMMU domain is attached" ;;
  esac
}

logged() { # WORDS
  if grep -qF "DMA fault: $1" "$work/log"; then
    ok "the log has the fault: $1"
  else
    failed "the log has the fault: $1" "$(grep 'DMA fault' "$work/log" | head -3)"
  fi
}

clients() {
  local node command
  while read -r node command; do
    [[ $node == '#' ]] && continue
    # shellcheck disable=SC2086
    set -- $command
    client "$command" Tests/Plugins/topology.yaml "$build/$1" "${@:2}"
    faults "$command"
  done <Tests/Plugins/clients.table
  if "$cused" run --plugin "$build/libmybus.so" -- "$build/loop_client" >"$work/out"; then
    ok "--plugin ($(tail -1 "$work/out"))"
  else
    failed "--plugin" "$(tail -5 "$work/out")"
  fi
  "$cused" run --plugin "$build/libmybus.so" --plugin "$build/kit.so" -- test -c /dev/vfio/loop:0
  equal "--plugin twice" 0 "$?"
}

buses() {
  count_lines < <(timeout 60 "$cused" run --topology Tests/Plugins/topology.yaml -- Tests/Plugins/buses.sh 2>&1)
}

# A kind of which nothing can be made.
bare() {
  cat >"$work/bare.yaml" <<END
plugins:
  - { file: $build/kit.so, parameters: { bare: 1 } }
buses:
  - bus: pci
    root: 0000:00
    devices:
      - { address: 0000:00:07.0, model: kit-pci, group: 7 }
  - bus: platform
    devices:
      - { name: 10000.kit, model: kit-platform, group: 7 }
END
  client "a model that is not made, on pci" "$work/bare.yaml" "$build/kit_client" pci bare
  client "a model that is not made, on platform" "$work/bare.yaml" "$build/kit_client" platform bare
}

# Registers of a plug-in's model that a client has mapped.
flat() {
  cat >"$work/flat.yaml" <<END
plugins:
  - { file: $build/kit.so, parameters: { flat: 1 } }
buses:
  - bus: pci
    root: 0000:00
    devices:
      - { address: 0000:00:07.0, model: kit-pci, group: 7 }
END
  client mapped_client "$work/flat.yaml" "$build/mapped_client"
}

refusals() {
  local status file words
  while read -r status file words; do
    [[ $status == '#' ]] && continue
    refuses "$file" "$status" "$words" --plugin "$build/$file"
  done <Tests/Plugins/refusals.table
  refuses "the same plug-in twice" 65 "it is loaded already" \
    --plugin "$build/kit.so" --plugin "$build/kit.so"
  printf 'plugins:\n  - file: none.so\n' >"$work/missing.yaml"
  refuses "a topology's plug-in that is not there" 65 "$work/missing.yaml:2:11: plugins[0].file: plug-in $work/none.so" \
    --topology "$work/missing.yaml"
  printf 'plugins:\n  - file: %s/libmybus.so\n    parameters: { devises: 3 }\n' "$build" >"$work/wrong.yaml"
  refuses "a parameter that the plug-in does not know" 65 "the only parameter is devices" \
    --topology "$work/wrong.yaml"
}

clients
buses
bare
flat
refusals
finish
