#!/bin/bash
# Runs in the VM, as root: guest.sh BINARIES CLIENTS HELPERS (directories)
set -uo pipefail

bin=$1 clients=$2 helpers=$3
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"
# shellcheck source=Tests/VM/serve.sh
. "$here/../VM/serve.sh"
# shellcheck source=Tests/CUSE/sysfs.sh
. "$here/sysfs.sh"

node=/dev/vfio/pci:240
mount=/run/vfio-cused/files

user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }

# An ordinary user may not reach into root's directories.
if ! user test -x "$clients/document_example"; then
  mkdir /tmp/programs
  cp -r "$clients" /tmp/programs/clients
  cp -r "$helpers" /tmp/programs/helpers
  cp "$bin/vfio-cused" "$bin/waiting-daemon" /tmp/programs
  chmod -R a+rX /tmp/programs
  bin=/tmp/programs clients=/tmp/programs/clients helpers=/tmp/programs/helpers
fi

# Starts the daemon and waits until it says it is ready.
start() { # [serve's options]
  start_serve "${wrap[@]}" "$bin/vfio-cused" serve "$@" && return
  failed "the daemon starts" "$(tail -3 "$log" | tr '\n' ' ')"
  return 1
}
wrap=()

# Ends the daemon by SIGNAL; its exit status is in `status`.
stop() { # [SIGNAL]
  end_serve "$@"
  status=$?
}

# Nothing of a daemon is left: `gone WHEN`
gone() {
  equal "$1: the node is gone" no "$([[ -e $node ]] && echo yes || echo no)"
  equal "$1: the mount is gone" '' "$(grep " $mount " /proc/self/mountinfo)"
}

# The daemon refuses to start: `refuses NAME STATUS WORDS [OPTION…]`
refuses() {
  local name=$1 want=$2 words=$3 said status
  shift 3
  said=$(timeout 20 "${wrap[@]}" "$bin/vfio-cused" serve "$@" 2>&1)
  status=$?
  equal "$name: exit status" "$want" "$status"
  equal "$name: one sentence" 1 "$(wc -l <<<"$said")"
  if [[ $said == *"$words"* ]]; then ok "$name: it says $words"; else failed "$name" "it says: $said"; fi
}

# Runs one client and passes on its checks: `client NAME USER SECONDS COMMAND…`
# The time is what an idle machine needs several times over; a busy one gets more.
client() {
  local name=$1 who=$2 limit=$(($3 * 5)) status output=/tmp/client.out
  shift 3
  if [[ $who == root ]]; then
    timeout -k 5 "$limit" "$@" >$output 2>&1 </dev/null
  else
    user timeout -k 5 "$limit" "$@" >$output 2>&1 </dev/null
  fi
  status=$?
  if ((status == 0)); then
    ok "$name as $who ($(tail -1 $output))"
  else
    failed "$name as $who" "exit status $status"
    grep -v '^ok ' $output | tail -30
    tail -5 "$log"
  fi
}

document_node() {
  equal "ls -l of the node" "crw-rw---- 1 root root" "$(ls -l $node | cut -d' ' -f1-4)"
  equal "an ordinary user may not open it" no "$(user test -r $node && echo yes || echo no)"
  chown 1000:1000 $node
}

all_clients() {
  local transport who limit command
  while read -r transport who limit command; do
    [[ $transport == serve || $transport == both ]] || continue
    # shellcheck disable=SC2086
    set -- $command
    client "$command" "$who" "$limit" "$clients/$1" "${@:2}"
  done <"$here/../Clients/clients.table"
}

# Those that want a machine of their own.
option_clients() {
  local transport who limit rest
  cd "$here/../Clients" || return
  while read -r transport who limit rest <&3; do
    [[ $transport == serve || $transport == both ]] || continue
    # shellcheck disable=SC2086
    start --owner 1000:1000 ${rest%% -- *} || continue
    # shellcheck disable=SC2086
    set -- ${rest#* -- }
    client "$rest" "$who" "$limit" "$clients/$1" "${@:2}"
    stop
  done 3<options.table
  cd - >/dev/null || return
}

under_strace() {
  local output
  output=$(user timeout 20 strace -f -o /tmp/strace.out "$clients/document_example" 2>&1)
  equal "strace: the example ends by itself" 1 "$?"
  equal "strace: handing out a descriptor fails with EBUSY" 1 \
    "$(grep -c 'VFIO_GROUP_GET_IOMMU_FD.*EBUSY' <<<"$output")"
  at_least "strace: the log says why" 1 "$(grep -c 'the client is traced by process' "$log")"
}

daemon_is_killed() {
  user "$clients/daemon_killed" >/tmp/killed.out 2>&1 &
  local victim=$!
  wait_for ready /tmp/killed.out
  stop KILL 2>/dev/null
  wait "$victim"
  equal "daemon killed: the client has errors and ends" 0 "$?"
  start
  equal "daemon killed: a new one starts and clears up" 1 "$(grep -c " $mount " /proc/self/mountinfo)"
  chown 1000:1000 $node
  client "after a restart: document_example" 1000 20 "$clients/document_example"
}

wait_for() { # WORD FILE
  for ((i = 0; i < 200; i++)); do
    grep -q "$1" "$2" 2>/dev/null && return
    sleep 0.05
  done
}

daemon_ends() { # SIGNAL
  user "$clients/daemon_killed" >/tmp/killed.out 2>&1 &
  local victim=$!
  wait_for ready /tmp/killed.out
  stop "$1"
  equal "SIG$1: exit status" 0 "$status"
  gone "SIG$1"
  wait "$victim"
  equal "SIG$1: a client in the middle has errors and ends" 0 "$?"
}

refusals() {
  local before
  before=$(ls /dev)
  refuses "a topology that is none" 65 "/tmp/bad.yaml:2" --topology /tmp/bad.yaml
  refuses "a topology that is not there" 66 "/tmp/none.yaml" --topology /tmp/none.yaml
  wrap=(setpriv --reuid 1000 --regid 1000 --clear-groups)
  refuses "not root" 77 "sudo"
  wrap=()
  mkdir -p /dev/vfio && touch $node
  refuses "a name that is taken" 73 "$node is there already"
  rm -r /dev/vfio
  mv /dev/cuse /dev/cuse.away
  refuses "no /dev/cuse" 69 "modprobe cuse"
  mv /dev/cuse.away /dev/cuse
  equal "refusals leave nothing in /dev" "$before" "$(ls /dev)"
  equal "refusals leave no mount" '' "$(grep " $mount " /proc/self/mountinfo)"
}

options() {
  start --mode 0640 --owner 1000:1000
  equal "--mode and --owner" "640 1000 1000" "$(stat -c '%a %u %g' $node)"
  refuses "a second daemon" 75 "another vfio-cused serve is running"
  equal "a second daemon leaves the first alone" yes "$([[ -c $node ]] && echo yes || echo no)"
  stop
}

service_manager() {
  local said
  said=$(timeout 30 "$helpers/notify_listener" "$bin/vfio-cused" serve 2>/dev/null)
  equal "sd_notify" "READY=1 STOPPING=1" "$(grep '^[A-Z]*=1$' <<<"$said" | tr '\n' ' ' | sed 's/ $//')"
}

many_nodes() { # COUNT
  "$here/topology.sh" "$1" >/tmp/many.yaml
  start --topology /tmp/many.yaml --mode 0666
  equal "$1 nodes" "$1" "$(ls /dev/vfio | grep -c :)"
  client "many_nodes $1" 1000 60 "$clients/many_nodes" "$1"
  stop
  equal "$1 nodes: exit status" 0 "$status"
}

# Without the right to trace, the kernel has to carry arguments (the retry protocol).
without_ptrace() {
  wrap=(setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace)
  start --owner 1000:1000
  wrap=()
  client "without CAP_SYS_PTRACE" 1000 20 "$helpers/without_ptrace"
  at_least "without CAP_SYS_PTRACE: the log says why" 1 "$(grep -c 'vfio-cused serve needs' "$log")"
  stop
}

hostile_clients() {
  start --owner 1000:1000
  client "hostile" 1000 20 "$helpers/hostile"
  client "memory that never answers" root 60 "$helpers/stuck_memory"
  stop
  equal "memory that never answers: exit status" 0 "$status"
}

deferred_answers() {
  "$bin/waiting-daemon" >"$log" 2>&1 &
  daemon=$!
  wait_for '^ready' "$log"
  client "deferred answers" root 60 "$helpers/waiting_client"
  "$helpers/waiting_client" end >/tmp/waiting.out 2>&1 &
  local victim=$!
  wait_for ready /tmp/waiting.out
  sleep 0.3
  stop
  equal "the daemon ends while a call waits: exit status" 0 "$status"
  wait "$victim"
  equal "the daemon ends while a call waits: the client has an error" 0 "$?"
}

# Plug-ins and the platform bus: Tests/Plugins.
plugins() {
  local here=$here/../Plugins status file words node command
  while read -r status file words; do
    [[ $status == '#' ]] || refuses "$file" "$status" "$words" --plugin "$here/build/$file"
  done <"$here/refusals.table"
  start --topology "$here/topology.yaml" || return
  equal "plug-ins: nodes" "7 loop:0 odd:0 odd:1 odd:2 pci:7 platform:0 platform:7 vfio" \
    "$(ls /dev/vfio | tr '\n' ' ' | sed 's/ $//')"
  while read -r node command; do
    [[ $node == '#' ]] && continue
    # shellcheck disable=SC2086
    set -- $command
    client "$command" root 60 "$here/build/$1" "${@:2}"
  done <"$here/clients.table"
  stop
  equal "plug-ins: exit status" 0 "$status"
}

printf 'buses:\n  - bus: pcx\n    root: 0000:00\n' >/tmp/bad.yaml
refusals
start || finish
document_node
all_clients
under_strace
daemon_is_killed
daemon_ends TERM
start && chown 1000:1000 $node
daemon_ends INT
options
option_clients
mount_of_sys
document_session
hot_plug
service_manager
many_nodes 64
without_ptrace
hostile_clients
deferred_answers
plugins
finish
