#!/bin/bash
# Runs Debian's QEMU under vfio-cused run, with a guest that drives the emulated edu:
# Tests/RealClients/qemu_test.sh [DIRECTORY of the binary]
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh
# shellcheck source=Tests/Run/ordinary_user.sh
. Tests/Run/ordinary_user.sh

make --silent -C Tests/RealClients/guest || exit 2
make --silent -C Tests/Run || exit 2
find_cused "${1:-}"

first=0000:06:0d.0 second=0000:06:0d.1
qemu=(qemu-system-x86_64 -accel tcg -nodefaults -no-user-config -display none
  -kernel Tests/RealClients/guest/build/edu -device "isa-debug-exit,iobase=0xf4,iosize=4")
# QEMU maps all of the guest's memory, and whoever maps locks: as much as anybody may.
small=(-m 4)

# What our own program runs in, and its options.
outer=() options=()

under() { # COMMAND…
  user timeout -k 5 120 "${outer[@]}" "$cused" run --dialect mainline "${options[@]}" -- "$@"
}

# The guest says a line for each of its checks.
guest() { # NAME ARGUMENT…
  local name=$1 status
  shift
  echo "note $name: ${qemu[0]} $*"
  under "${qemu[@]}" -no-reboot -debugcon file:"$work/guest" "$@" >"$work/out" 2>&1 </dev/null
  status=$?
  # With 0x10 written to it, isa-debug-exit exits with this.
  if ((status == 0x21)); then
    ok "$name: exit status"
  else
    failed "$name" "exit status $status: $(tail -3 "$work/out" | tr '\n' ' ')"
  fi
  count_lines < <(sed "s/ guest:/ $name:/" "$work/guest")
  equal "$name: the last line" "guest: done" "$(tail -1 "$work/guest")"
  equal "$name: what QEMU has to say" '' "$(cat "$work/out")"
  rm -f "$work/guest"
}

guests() {
  local one=(-device "vfio-pci,host=$first")
  guest "pc" "${small[@]}" "${one[@]}"
  guest "q35" -machine q35 "${small[@]}" "${one[@]}"
  options=(--ignore-memlock)
  guest "memory in a memfd" -object memory-backend-memfd,id=ram,size=64M,share=on -m 64 \
    -machine memory-backend=ram "${one[@]}"
  options=()
  guest "QEMU's sandbox" "${small[@]}" "${one[@]}" \
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
  outer=(Tests/Run/build/without "kcmp,pidfd_getfd")
  guest "as in a container" "${small[@]}" "${one[@]}"
  outer=()
  guest "two functions of a group" "${small[@]}" "${one[@]}" -device "vfio-pci,host=$second"
}

says() { # TEXT
  grep -q -- "$1" "$work/monitor"
}

has_run() { # TIMES
  (($(grep -c '^guest: done' "$work/guest") >= $1))
}

# A command for QEMU's monitor.
order() {
  echo "$*" >&3
}

monitor() {
  local pid
  mkfifo "$work/orders"
  : >"$work/guest" && chmod 666 "$work/guest"
  under "${qemu[@]}" "${small[@]}" -append stay -debugcon file:"$work/guest" -monitor stdio \
    -device "vfio-pci,host=$first,id=one" -device "vfio-pci,host=$second,id=two" \
    <"$work/orders" >"$work/monitor" 2>&1 &
  pid=$!
  exec 3>"$work/orders"
  if wait_until has_run 1; then ok "monitor: the guest has run"; else
    failed "monitor: the guest" "it says: $(tail -1 "$work/guest"); QEMU: $(tail -1 "$work/monitor")"
  fi
  order info pci
  if wait_until says 'id "two"'; then ok "monitor: info pci"; else
    failed "monitor: info pci" "$(tail -3 "$work/monitor")"
  fi
  sed -n '/1234:11e8/,/id "/p' "$work/monitor" | tr -d '\r' | sed 's/^ */note monitor:   /'
  equal "monitor: both functions" 2 "$(grep -c 'PCI device 1234:11e8' "$work/monitor")"
  equal "monitor: BAR 0 of both is mapped" 2 \
    "$(grep -cE 'BAR0: 32 bit memory at 0xf[0-9a-f]{7} \[0xf[0-9a-f]{7}\]' "$work/monitor")"

  order system_reset
  if wait_until has_run 2; then ok "monitor: the guest has run again after system_reset"; else
    failed "monitor: system_reset" "the guest says: $(tail -1 "$work/guest")"
  fi
  order quit
  exec 3>&-
  wait "$pid"
  equal "monitor: exit status" 0 "$?"
  equal "monitor: what the guest found wrong" '' "$(grep FAILED "$work/guest")"
}

# Somebody has the group open.
busy() {
  under sh -c "exec 9<>/dev/vfio/240; exec $(printf '%q ' "${qemu[@]}" "${small[@]}") \
    -device vfio-pci,host=$first" >"$work/out" 2>&1 </dev/null
  equal "a group that is in use: exit status" 1 "$?"
  if grep -q 'Device or resource busy' "$work/out"; then ok "a group that is in use: $(tail -1 "$work/out")"; else
    failed "a group that is in use" "$(tail -1 "$work/out")"
  fi
}

# The second function has a driver of the host.
not_viable() {
  sed 's/\(address: 0000:06:0d.1\)/\1\n            driver: e1000e/; ' share/topology.yaml |
    awk '/driver: e1000e/ { host = 1 } host && /driver: vfio/ { host = 0; next } { print }' >"$work/host.yaml"
  options=(--topology "$work/host.yaml")
  under "${qemu[@]}" "${small[@]}" -device "vfio-pci,host=$first" >"$work/out" 2>&1 </dev/null
  equal "a group that is not viable: exit status" 1 "$?"
  if grep -q 'group 240 is not viable' "$work/out"; then
    ok "a group that is not viable: $(grep 'viable' "$work/out" | head -1)"
  else
    failed "a group that is not viable" "$(tail -1 "$work/out")"
  fi
  options=()
}

# What QEMU asks, in the words of today's header.
trace() {
  options=(--trace-file "$work/trace")
  : >"$work/trace" && chmod 666 "$work/trace"
  guest "with a trace" "${small[@]}" -device "vfio-pci,host=$first"
  options=()
  local line
  for line in 'VFIO_GROUP_GET_STATUS, {argsz=8, flags=0x1})' 'VFIO_GET_API_VERSION) = 0' \
    'VFIO_CHECK_EXTENSION, type1v2) = 1' 'VFIO_GROUP_SET_CONTAINER, \[[0-9]*\]) = 0' \
    'VFIO_SET_IOMMU, type1v2) = 0' 'VFIO_IOMMU_MAP_DMA, {argsz=32, flags=0x3,.*size=0x[0-9a-f]*}) = 0' \
    "VFIO_GROUP_GET_DEVICE_FD, \"$first\")" 'VFIO_DEVICE_GET_REGION_INFO, {argsz=[0-9]*, .*index=7,' \
    'VFIO_DEVICE_SET_IRQS, {argsz=24, flags=0x24, index=1, start=0, count=1}) = 0' \
    'VFIO_DEVICE_RESET) = 0'; do
    if grep -q -- "$line" "$work/trace"; then ok "trace: $(grep -m1 -oE 'VFIO_.*' <(grep -m1 -- "$line" "$work/trace"))"; else
      failed "trace" "nothing like $line"
    fi
  done
}

# Whoever takes the device from its driver waits until QEMU has let go of it.
unbind() {
  : >"$work/guest" && chmod 666 "$work/guest"
  under bash -c "
    coproc qemu { $(printf '%q ' "${qemu[@]}" "${small[@]}") -append stay -monitor stdio \
      -debugcon file:$work/guest -device vfio-pci,host=$first; }
    pid=\$!
    until grep -q ^guest: $work/guest; do sleep 0.1; done
    { echo $first >/sys/bus/pci/drivers/vfio-pci/unbind; echo unbound; } &
    sleep 0.5
    echo quits
    echo quit >&\${qemu[1]}
    wait \$pid; wait
    test -e /sys/bus/pci/devices/$first/driver || echo no driver" >"$work/out" 2>&1 </dev/null
  equal "unbind of a device that QEMU has" "quits unbound no driver" "$(xargs <"$work/out")"
}

# The kernel would pin the guest's memory, so the user's limit counts.
locked_memory() {
  (ulimit -l 8192 && under "${qemu[@]}" -m 64 -device "vfio-pci,host=$first") >"$work/out" 2>&1 </dev/null
  equal "more memory than may be locked: exit status" 1 "$?"
  if grep -q '(Cannot allocate memory)' "$work/out"; then
    ok "more memory than may be locked: $(grep -m1 'Cannot allocate' "$work/out")"
  else
    failed "more memory than may be locked" "$(tail -1 "$work/out")"
  fi
}

guests
trace
monitor
unbind
busy
locked_memory
not_viable
finish
