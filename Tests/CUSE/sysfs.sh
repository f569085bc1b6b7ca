# shellcheck shell=bash
# Sourced by guest.sh: the emulated /sys of serve, and devices that come and go.
sys=/run/vfio-cused/sys
document=$here/../Document

# Runs a command where the emulated /sys is in place of the machine's.
in_sys() {
  unshare --mount sh -c 'mount --rbind "$0" /sys && exec "$@"' "$sys" "$@"
}

# The document's account, whatever the machine's are called.
make_user() {
  sed '$a user:x:1234:1234::/:/bin/sh' /etc/passwd >/tmp/passwd
  sed '$a user:x:1234:' /etc/group >/tmp/group
  mount --bind /tmp/passwd /etc/passwd
  mount --bind /tmp/group /etc/group
}

document_session() {
  make_user
  start --topology "$document/topology.yaml"
  equal "lspci" "$(cat "$document/lspci.txt")" "$("$document/lspci.sh" -O sysfs.path=$sys/bus/pci)"
  equal "lspci over /sys" "$(cat "$document/lspci.txt")" "$(in_sys "$document/lspci.sh")"
  equal "lspci as a user: the header only" 2 \
    "$(user "$document/lspci.sh" -O sysfs.path=$sys/bus/pci | grep -c 'Capabilities: <access denied>')"
  in_sys "$document/session.sh" "$clients/document_example" >/tmp/session.out 2>&1
  count_lines < <(sed 's/^\(ok\|FAILED\) /&the document: /' /tmp/session.out)
  stop
}

# Names of the machine's /sys that are missing where ours is in its place.
missing() { # DIRECTORY
  comm -23 <(ls "$1" | sort) <(in_sys ls "$1" | sort)
}

the_machines_own() {
  local directory
  for directory in /sys /sys/class /sys/devices /sys/devices/virtual /sys/bus; do
    equal "the machine's own $directory is there still" '' "$(missing $directory)"
  done
  equal "the machine's own files can be read" "$(cat /sys/devices/virtual/net/lo/mtu)" \
    "$(in_sys cat /sys/class/net/lo/mtu)"
}

mount_of_sys() {
  start
  client "sysfs_mount" root 60 "$helpers/sysfs_mount" $sys
  client "sysfs_mount" 1000 60 "$helpers/sysfs_mount" $sys user
  the_machines_own
  stop
  equal "stop: the mounts are gone" '' "$(grep ' /run/vfio-cused/' /proc/self/mountinfo)"
  start --sysfs /tmp/elsewhere
  equal "--sysfs" 0x1234 "$(cat /tmp/elsewhere/bus/pci/devices/0000:06:0d.0/vendor)"
  stop KILL 2>/dev/null
  start --sysfs /tmp/elsewhere
  equal "daemon killed: a new one clears up" 4 "$(grep -c -e ' /run/vfio-cused/' -e ' /tmp/elsewhere ' /proc/self/mountinfo)"
  stop
}

# Does the daemon's group have a node? `node yes|no WHEN`
node_is() {
  equal "$2: is there a node" "$1" "$([[ -c $node ]] && echo yes || echo no)"
}

hot_plug() {
  local devices=$sys/bus/pci/devices holder
  start
  chown 1000:1000 $node
  echo 1 >$devices/0000:06:0d.0/remove
  node_is yes "one of two devices is removed"
  equal "the group has one device" 0000:06:0d.1 "$(ls $sys/class/vfio/pci:240/devices)"
  echo 1 >$devices/0000:06:0d.1/remove
  node_is no "both devices are removed"
  echo 1 >$sys/bus/pci/rescan
  node_is yes "rescan"
  equal "rescan: the node is root's again" "crw-rw---- root root" "$(ls -l $node | cut -d' ' -f1,3,4)"
  equal "rescan: its number" "$(printf '%d:%d' 0x"$(stat -c %t $node)" 0x"$(stat -c %T $node)")" \
    "$(cat $sys/class/vfio/pci:240/dev)"
  chown 1000:1000 $node
  client "after rescan: document_example" 1000 20 "$clients/document_example"
  echo 1 >$devices/0000:00:1e.0/remove
  node_is no "the bridge is removed"
  equal "nothing is behind it" '' "$(ls $devices | grep -e 0000:06 -e 0000:00:1e)"
  echo 1 >$sys/bus/pci/rescan
  node_is yes "the bridge is found again"
  chown 1000:1000 $node

  user "$clients/daemon_killed" >/tmp/holder.out 2>&1 &
  holder=$!
  wait_for ready /tmp/holder.out
  timeout 1 sh -c "echo 1 >$devices/0000:00:1e.0/remove"
  equal "removal of a used bridge waits, and can be killed" 124 "$?"
  equal "then everything stays" 2 "$(ls $sys/class/vfio/pci:240/devices | wc -l)"
  echo 1 >$devices/0000:00:1e.0/remove &
  local removal=$!
  sleep 0.5
  equal "a removal waits" yes "$(kill -0 $removal 2>/dev/null && echo yes || echo no)"
  { kill -KILL $holder; wait $holder; } 2>/dev/null
  wait $removal
  equal "it goes on when the last user is gone" 0 "$?"
  node_is no "the used bridge is removed"
  echo 1 >$sys/bus/pci/rescan
  local i
  for ((i = 0; i < 50; i++)); do
    echo 1 >$devices/0000:00:1e.0/remove
    echo 1 >$sys/bus/pci/rescan
  done
  node_is yes "50 times"
  chown 1000:1000 $node
  client "after 50 times: document_example" 1000 20 "$clients/document_example"
  stop
}
