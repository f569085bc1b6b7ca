#!/bin/bash
# Runs Debian's lspci, driverctl and dpdk-devbind.py under vfio-cused run:
# Tests/RealClients/tools_test.sh [DIRECTORY of the binary]
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh
# shellcheck source=Tests/Run/ordinary_user.sh
. Tests/Run/ordinary_user.sh
find_cused "${1:-}"

first=0000:06:0d.0 second=0000:06:0d.1 card=0000:07:00.0 other=0000:07:00.1

# driverctl asks modprobe for modules that /sys/module does not have, and modprobe calls vfio-pci by another
# name than the kernel. The machine may not have it.
mkdir "$work/modprobe.d"
echo 'install vfio-pci true' >"$work/modprobe.d/vfio.conf"
chmod -R a+rX "$work/modprobe.d"
export MODPROBE_OPTIONS="--config $work/modprobe.d"

# A session of a shell: each command's output goes to $work/out after the command itself.
session() {
  user timeout -k 5 60 "$cused" run --dialect mainline --topology Tests/RealClients/machine.yaml -- \
    bash >"$work/out" 2>&1
}

# Of the emulated machine only.
ours='^0000:0[67]:'

lists() {
  session <<END
lspci -D -nn | grep '$ours'
echo ==
lspci -D -nn -vv -s $card
echo ==
lspci -D -nn -vv -s $first
echo ==
lspci -D -vmmnnk -s $second
END
  sed 's/^/note lspci: /' "$work/out"
  has "lspci lists the card" "^$card Ethernet controller \[0200\]: .*\[1af4:1000\]"
  has "lspci lists edu" "^$first Unclassified device \[00ff\]: .*\[1234:11e8\] (rev 10)"
  has "lspci: the card's subsystem" "Subsystem: Red Hat, Inc. .*\[1af4:0001\]"
  has "lspci: the card's ports" 'I/O ports at [0-9a-f]* \[.*size=32\]'
  has "lspci: the card's group" 'IOMMU group: 70'
  has "lspci: edu's BAR 0" 'Region 0: Memory at [0-9a-f]* (32-bit, non-prefetchable) .*\[size=1M\]'
  has "lspci: edu's interrupt pin" 'Interrupt: pin A routed to IRQ'
  has "lspci: edu's capability" 'Capabilities: \[[0-9a-f]*\] MSI: Enable- Count=1/1 Maskable- 64bit+'
  has "lspci: edu's group" 'IOMMU group: 240'
  has "lspci: the host's driver" 'Kernel driver in use: e1000e'
  has "lspci: vfio's driver" 'Kernel driver in use: vfio-pci'
  has "lspci -vmm: the driver" '^Driver:.e1000e'
  has "lspci -vmm: the group" '^IOMMUGroup:.240'
}

has() { # NAME PATTERN
  if grep -q -- "$2" "$work/out"; then ok "$1: $(grep -m1 -- "$2" "$work/out" | sed 's/^[[:space:]]*//')"; else
    failed "$1" "nothing like: $2"
  fi
}

# What driverctl and dpdk-devbind.py say, from one session.
overrides() {
  session <<END
driverctl() { /usr/sbin/driverctl "\$@"; echo "status \$?"; }
driverctl list-devices | grep -E '$ours'
driverctl --nosave set-override $first vfio-pci
driverctl list-overrides
driverctl list-devices network | grep -E '$ours'
driverctl --nosave set-override $second none
driverctl list-devices | grep -E '$ours'
stat -c %N /sys/bus/pci/devices/$first/driver
driverctl --nosave unset-override $first
driverctl --nosave unset-override $second
driverctl list-devices | grep -E '$ours'
driverctl --nosave set-override 0000:06:1f.0 vfio-pci
END
  sed 's/^/note driverctl: /' "$work/out"
  equal "driverctl" "\
$first e1000e
$second e1000e
$card vfio-pci
$other virtio-pci
status 0
$first vfio-pci
status 0
$card vfio-pci
$other virtio-pci
status 0
$first vfio-pci [*]
$second (none) [*]
$card vfio-pci
$other virtio-pci
'/sys/bus/pci/devices/$first/driver' -> '../../../../bus/pci/drivers/vfio-pci'
status 0
status 0
$first e1000e
$second e1000e
$card vfio-pci
$other virtio-pci
driverctl: no such device: 0000:06:1f.0
status 1" "$(cat "$work/out")"
}

# lspci, which it calls, misses the machine's modules.dep.
devbind() {
  session <<END
devbind() { /usr/bin/dpdk-devbind.py "\$@" 2>&1 | grep -v 'lspci: Unable to load libkmod'; }
status() { devbind --status-dev net | grep -E '$ours'; }
status
devbind --bind=vfio-pci $other
status
cat /sys/bus/pci/devices/$other/driver_override
stat -c '%n %F' /dev/vfio/71
devbind --unbind $card
status
devbind --bind=virtio-pci $other
devbind --bind=vfio-pci $card
status
devbind --bind=e1000e $card
END
  sed 's/^/note dpdk-devbind.py: /' "$work/out"
  local name="'Virtio network device 1000'"
  equal "dpdk-devbind.py" "\
$card $name drv=vfio-pci unused=
$other $name if= drv=virtio-pci unused=vfio-pci 
$card $name drv=vfio-pci unused=
$other $name drv=vfio-pci unused=
(null)
/dev/vfio/71 character special file
$other $name drv=vfio-pci unused=
$card $name unused=vfio-pci
$card $name drv=vfio-pci unused=
$other $name if= drv=virtio-pci unused=vfio-pci 
Error: bind failed for $card - Cannot bind to driver e1000e: [Errno 19] No such device" \
    "$(head -11 "$work/out")"
}

lists
overrides
devbind
finish
