#!/bin/bash
# Runs Debian's dpdk-testpmd under vfio-cused run, on the emulated network card:
# Tests/RealClients/dpdk_test.sh [DIRECTORY of the binary]
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh
# shellcheck source=Tests/Run/ordinary_user.sh
. Tests/Run/ordinary_user.sh
find_cused "${1:-}"

card=0000:07:00.0 other=0000:07:00.1 edu=0000:06:0d.0
# Memory without huge pages; two threads, on one processor where there is no other; files where they go away.
export XDG_RUNTIME_DIR=$work
eal=(--no-huge -m 32 --no-shconf --no-telemetry --lcores '0@0,1@0' --log-level=eal:debug
  --log-level=bus.pci:debug)
application=(-i --total-num-mbufs=2048 --txd=128 --rxd=128)

says() { # PATTERN
  grep -qE -- "$1" "$work/out"
}

said() { # NAME PATTERN
  if says "$2"; then ok "$1: $(grep -m1 -E -- "$2" "$work/out" | tr -d '\r' | sed 's/^ *//')"; else
    failed "$1" "nothing like '$2'; the last words: $(tail -2 "$work/out" | tr '\n' ' ')"
  fi
}

# A command for testpmd's prompt.
order() {
  echo "$*" >&3
}

# What a shell does before it becomes testpmd.
prepare=

start() { # EAL OPTION…
  rm -f "$work/orders" "$work/out" && mkfifo "$work/orders"
  user timeout -k 5 120 "$cused" run --dialect mainline --ignore-memlock --topology Tests/RealClients/machine.yaml -- \
    sh -c "$prepare exec stdbuf -oL \"\$@\"" sh dpdk-testpmd "${eal[@]}" "$@" -- "${application[@]}" \
    <"$work/orders" >>"$work/out" 2>&1 &
  pid=$!
  exec 3>"$work/orders"
}

stop() { # NAME
  order quit
  exec 3>&-
  wait "$pid"
  equal "$1: exit status" 0 "$?"
}

# How many packets the card has received when testpmd told last.
count() {
  local count
  count=$(grep -oE 'RX-packets: [0-9]+' "$work/out" | tail -1)
  count=${count#RX-packets: }
  echo "${count:-0}"
}

received() { # COUNT
  order show port stats 0
  (($(count) >= $1))
}

goes_round() { # NAME
  local before
  before=$(count)
  if wait_until received $((before + 10000)); then ok "$1: $(($(count) - before)) packets"; else
    failed "$1" "$(($(count) - before)) packets"
  fi
}

# Packets go round: what the card sends it receives, and testpmd sends it again.
forwarding() {
  start -a "$card"
  wait_until says 'testpmd>|Error - exiting'
  said "EAL's VFIO" 'VFIO support initialized'
  said "EAL's IOMMU type" 'Using IOMMU type 1'
  said "IOVA as virtual addresses" "Selected IOVA mode 'VA'"
  said "the driver for the card" "Probe PCI driver: net_virtio \(1af4:1000\) device: $card"
  order show port info 0
  wait_until says 'Device capabilities'
  said "the card's MAC address" 'MAC address: 02:00:00:00:00:01'
  said "the card's link" 'Link status: up'
  said "the card's device" 'Device name: 0000:07:00.0'
  order set fwd io
  order start tx_first
  goes_round "testpmd -> card -> testpmd"
  said "no errors" 'TX-errors: 0 '
  order stop
  wait_until says 'Done\.'
  order port stop 0
  wait_until says 'Stopping ports'
  order port start 0
  order start tx_first
  goes_round "after the port was stopped and started"
  stop "testpmd"
  grep -E '^EAL|MAC address|Link|Driver name' "$work/out" | sed 's/^/note testpmd: /'
}

# DPDK has no driver for edu, and says of each device on the bus what it makes of it.
nothing_for_edu() {
  start -a "$edu"
  wait_until says 'testpmd>|exiting'
  said "no driver for edu" 'No probed ethernet devices'
  stop "testpmd without a port"
}

# Both are in one container, each in a group of its own. One goes and comes back.
two_cards() {
  prepare="dpdk-devbind.py --bind=vfio-pci $other;"
  start -a "$card" -a "$other"
  wait_until says 'testpmd>|Error - exiting'
  order show port summary all
  wait_until says "^1 .*$other"
  said "two cards: the first" "^0 +02:00:00:00:00:01 $card net_virtio +up"
  said "two cards: the second" "^1 +02:00:00:00:00:02 $other net_virtio +up"
  order port stop 0
  order port close 0
  order device detach "$card"
  wait_until says "Device $card is detached"
  said "two cards: one is taken out" 'Now total ports is 1'
  order port attach "$card"
  wait_until says 'Now total ports is 2'
  said "two cards: it is back" 'Port 0 is attached'
  order port start 0
  order set fwd io
  order start tx_first
  wait_until received 10000
  at_least "two cards: packets of the first" 10000 "$(count)"
  stop "two cards"
  prepare=
}

forwarding
two_cards
nothing_for_edu
finish
