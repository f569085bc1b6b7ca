#!/bin/bash
# Runs in the VM, as root: serve_guest.sh VFIO-CUSED [--all]
set -uo pipefail

cused=$1 all=${2-}
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh
# shellcheck source=Tests/VM/serve.sh
. Tests/VM/serve.sh
out=/tmp/out
first=0000:06:0d.0 second=0000:06:0d.1 card=0000:07:00.0
mkdir /tmp/modprobe.d && echo 'install vfio-pci true' >/tmp/modprobe.d/vfio.conf
export MODPROBE_OPTIONS="--config /tmp/modprobe.d"

# Waits until FILE has WORDS, or PROCESS is gone.
until_says() { # WORDS FILE PROCESS
  until grep -q -- "$1" "$2" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || return 1
    sleep 0.1
  done
}

# In a mount namespace where /sys is the daemon's, too.
with_sys() { # COMMAND…
  unshare --mount sh -c 'mount --rbind /run/vfio-cused/sys /sys && exec "$@"' sh "$@"
}

drivers() {
  with_sys bash -c "
    driverctl list-devices | grep ^0000:0[67]:
    driverctl --nosave set-override $first vfio-pci; echo status \$?
    driverctl --nosave set-override $second vfio-pci; echo status \$?
    driverctl list-overrides" >"$out" 2>&1
  equal "driverctl" "\
$first e1000e
$second e1000e
$card vfio-pci
0000:07:00.1 virtio-pci
status 0
status 0
$first vfio-pci
$second vfio-pci" "$(cat "$out")"
}

guest() {
  with_sys timeout 300 qemu-system-x86_64 -accel tcg -nodefaults -no-user-config -display none -m 16 \
    -no-reboot -device "vfio-pci,host=$first" -device isa-debug-exit,iobase=0xf4,iosize=4 \
    -debugcon file:/tmp/guest -kernel Tests/RealClients/guest/build/edu >"$out" 2>&1 </dev/null
  equal "QEMU: exit status" 33 "$?"
  count_lines <"/tmp/guest"
  equal "QEMU: the last line" "guest: done" "$(tail -1 /tmp/guest)"
  equal "QEMU: what it has to say" '' "$(cat "$out")"
}

packets() {
  local pid
  mkfifo /tmp/orders
  with_sys stdbuf -oL dpdk-testpmd --no-huge -m 32 --no-shconf --no-telemetry --lcores '0@0,1@0' -a "$card" \
    -- -i --total-num-mbufs=2048 --txd=128 --rxd=128 </tmp/orders >>/tmp/testpmd 2>&1 &
  pid=$!
  exec 3>/tmp/orders
  until_says 'testpmd>' /tmp/testpmd "$pid"
  echo start tx_first >&3
  until grep -qE 'RX-packets: [0-9]{4}' /tmp/testpmd || ! kill -0 "$pid" 2>/dev/null; do
    echo show port stats 0 >&3
    sleep 1
  done
  equal "testpmd: more than 1000 packets have come" yes \
    "$(grep -qE 'RX-packets: [0-9]{4}' /tmp/testpmd && echo yes || tail -3 /tmp/testpmd)"
  echo quit >&3
  exec 3>&-
  wait "$pid"
  equal "testpmd: exit status" 0 "$?"
}

if start_serve "$cused" serve --dialect mainline --topology Tests/RealClients/machine.yaml; then
  ok "the daemon starts"
else
  failed "the daemon" "$(tail -3 "$log" | tr '\n' ' ')"
  finish
fi
drivers
guest
if [[ -n $all ]]; then packets; fi
end_serve
equal "the daemon: exit status" 0 "$?"
finish
