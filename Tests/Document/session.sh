#!/bin/bash
# The shell session of the VFIO document of 2011 and then its C program, on a machine that shows
# topology.yaml: session.sh PROGRAM
# As root the program runs as the account `user`; everybody else is the user already.
set -uo pipefail

program=$1
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"

if ((EUID == 0)); then
  as_user=(setpriv --reuid user --regid user --clear-groups)
else
  as_user=()
fi
functions=(0000:06:0d.0 0000:06:0d.1)

drivers() {
  local function
  for function in "${functions[@]}"; do
    basename "$(readlink "/sys/bus/pci/devices/$function/driver" || echo none)"
  done | tr '\n' ' '
}

equal "cat …/iommu_group" 240 "$(cat /sys/bus/pci/devices/0000:06:0d.0/iommu_group)"
equal "ls -l of the group" crw-rw---- "$(ls -l /dev/vfio/pci:240 | cut -d' ' -f1)"
want=$(for f in "${functions[@]}"; do echo "lrwxrwxrwx 0 $f -> ../../../../pci0000:00/0000:00:1e.0/$f"; done)
equal "ls -l of its devices" "$want" \
  "$(ls -l /sys/devices/virtual/vfio/pci:240/devices/ | tail -n +2 | tr -s ' ' | cut -d' ' -f1,5,9-)"
equal "a host driver has the devices" "e1000e e1000e " "$(drivers)"
"$program" >/dev/null 2>&1
at_least "the program cannot use them" 1 "$?"

# shellcheck source=Tests/Document/loop.sh
. "$here/loop.sh" 2>/dev/null
equal "the loop gives them to vfio" "vfio vfio " "$(drivers)"

if ((EUID == 0)); then
  "${as_user[@]}" test -r /dev/vfio/pci:240 -o -w /dev/vfio/pci:240
  equal "the user may not open the group" 1 "$?"
  "${as_user[@]}" "$program" >/dev/null 2>&1
  at_least "nor can the program" 1 "$?"
  "${as_user[@]}" chown user:user /dev/vfio/pci:240 2>/dev/null
  at_least "the user cannot take it" 1 "$?"
  chown user:user /dev/vfio/pci:240
  equal "chown user:user" "0 user user" "$? $(stat -c '%U %G' /dev/vfio/pci:240)"
else
  chown 0:0 /dev/vfio/pci:240 2>/dev/null
  at_least "an ordinary user cannot give the group away" 1 "$?"
  chown "$(id -u):$(id -g)" /dev/vfio/pci:240
  equal "chown to the user" "0 $(id -u) $(id -g)" "$? $(stat -c '%u %g' /dev/vfio/pci:240)"
fi
output=$("${as_user[@]}" "$program" 2>&1)
equal "the program as the user" 0 "$?"
tail -1 <<<"$output"
finish
