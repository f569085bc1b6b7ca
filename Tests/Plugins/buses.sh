#!/bin/bash
# Under vfio-cused run, on topology.yaml: the buses that are not PCI, in /sys.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"
cd /sys/bus/platform/devices || exit 2
device=1c010000.dma
group=$(cat $device/iommu_group)

equal "the group of a platform device" 0 "$group"
equal "its devices" $device "$(ls "/sys/devices/virtual/vfio/platform:$group/devices")"
equal "its driver" vfio "$(basename "$(readlink -f $device/driver)")"
echo $device >$device/driver/unbind
equal "unbound" no "$([[ -e $device/driver ]] && echo yes || echo no)"
equal "a node is there still" yes "$([[ -c /dev/vfio/platform:$group ]] && echo yes || echo no)"
echo $device >/sys/bus/platform/drivers/vfio/bind
equal "bound" "$device" "$(ls /sys/bus/platform/drivers/vfio | grep $device)"

loop=$(basename "$(readlink -f /sys/class/vfio/loop:0/devices/* | head -1)")
equal "the group of a plug-in's device" 0 "$(cat "/sys/bus/loop/devices/$loop/iommu_group")"
equal "it is on its bus" /sys/bus/loop "$(readlink -f "/sys/devices/loop/$loop/subsystem")"
finish
