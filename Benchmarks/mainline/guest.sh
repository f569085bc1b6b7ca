#!/bin/bash
# Runs in the VM, as root: guest.sh VFIO-CUSED BENCH OUT ROUNDS
# Leaves in OUT what the benchmark prints of the kernel's own VFIO and of `vfio-cused serve`: kernel, cuse.
set -euo pipefail

cused=$1 bench=$2 out=$3 rounds=$4
device=0000:00:1e.0
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/serve.sh
. "$here/../../Tests/VM/serve.sh"

# All on one CPU: a wake-up of another one that is emulated waits for its next tick, of 4 ms.
taskset --pid --cpu-list 0 $$ >/dev/null

modprobe -a vfio_iommu_type1 vfio-pci
echo vfio-pci >/sys/bus/pci/devices/$device/driver_override
echo $device >/sys/bus/pci/drivers_probe
group=$(basename "$(readlink /sys/bus/pci/devices/$device/iommu_group)")
"$bench" /dev/vfio/vfio "/dev/vfio/$group" $device "$rounds" >"$out/kernel"

start_serve "$cused" serve --dev-prefix vfio-cused --topology share/topologies/oracle-edu.yaml ||
  { cat "$log" >&2 && exit 1; }
"$bench" /dev/vfio-cused/vfio /dev/vfio-cused/4 0000:00:04.0 "$rounds" >"$out/cuse"
end_serve
