#!/bin/bash
# Under vfio-cused run, on the document's machine with one driver's devices: what an administrator does by hand.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"
device=/sys/bus/pci/devices/0000:06:0d.0

register() { setpci -s 06:0d.0 "$@"; }

register COMMAND=0006
equal "setpci: the command register" 0006 "$(register COMMAND)"
register BASE_ADDRESS_0=ffffffff
equal "setpci: a BAR is sized" fff00000 "$(register BASE_ADDRESS_0)"
register BASE_ADDRESS_0=c0000000
equal "setpci: a BAR is put back" c0000000 "$(register BASE_ADDRESS_0)"
register VENDOR_ID=1111
equal "setpci: an ID stays" 1234 "$(register VENDOR_ID)"
{ echo 1 >$device/enable; } 2>/dev/null
equal "enable: a driver has it" 1 "$?"
echo 0000:06:0d.0 >$device/driver/unbind
echo 1 >$device/enable
equal "enable" 1 "$(cat $device/enable)"
echo 0 >$device/enable
equal "disable" 0 "$(cat $device/enable)"
equal "irq" 19 "$(cat $device/irq)"
finish
