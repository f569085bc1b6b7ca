#!/bin/bash
# Under vfio-cused run, on the document's machine: devices go and are found again: hot_plug.sh CLIENTS
set -uo pipefail

clients=$1
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"
node=/dev/vfio/pci:240
devices=/sys/bus/pci/devices

is_there() { [[ -c $node ]] && echo yes || echo no; }

chmod 640 $node /dev/vfio/240
equal "chmod is seen in the directory" 640 "$(find /dev/vfio -name pci:240 -printf %m)"
echo 1 >$devices/0000:06:0d.0/remove
equal "one of two devices is removed" "yes 0000:06:0d.1" "$(is_there) $(ls /sys/class/vfio/pci:240/devices)"
echo 1 >$devices/0000:06:0d.1/remove
equal "both devices are removed" no "$(is_there)"
echo 1 >/sys/bus/pci/rescan
equal "rescan" yes "$(is_there)"
equal "rescan: the node starts anew" 660 "$(stat -c %a $node)"
equal "rescan: so does today's" 600 "$(stat -c %a /dev/vfio/240)"
echo 1 >$devices/0000:00:1e.0/remove
equal "the bridge is removed" "no no" "$(is_there) $([[ -e $devices/0000:06:0d.0 ]] && echo yes || echo no)"
echo 1 >/sys/bus/pci/rescan
"$clients/document_example" >/dev/null
equal "the document's example after a rescan" 0 "$?"

"$clients/daemon_killed" >"$TMPDIR/holder" 2>&1 &
holder=$!
for ((i = 0; i < 200; i++)); do
  grep -q ready "$TMPDIR/holder" && break
  sleep 0.05
done
timeout -s KILL 1 sh -c "echo 1 >$devices/0000:00:1e.0/remove" 2>/dev/null
equal "removal of a used bridge waits, and can be killed" 137 "$?"
# What was waiting is taken back a little later; until then another removal is refused.
for ((i = 0; i < 100; i++)); do
  echo 1 2>/dev/null >$devices/0000:00:1e.0/remove &
  removal=$!
  sleep 0.3
  kill -0 $removal 2>/dev/null && break
done
equal "a removal waits" yes "$(kill -0 $removal 2>/dev/null && echo yes || echo no)"
{ kill -KILL $holder; wait $holder; } 2>/dev/null
wait $removal
equal "it goes on when the last user is gone" 0 "$?"
equal "the used bridge is removed" no "$(is_there)"
finish
