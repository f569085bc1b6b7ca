#!/bin/bash
# Runs in the VM, as root: yama_guest.sh BINARIES CLIENTS (directories)
set -uo pipefail

bin=$1 clients=$2
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/checks.sh
. "$here/../VM/checks.sh"
scope=/proc/sys/kernel/yama/ptrace_scope

user() { setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all "$@"; }

# An ordinary user may not reach into root's directories.
mkdir /tmp/programs
cp "$bin/vfio-cused" "$clients"/* /tmp/programs
chmod -R a+rX /tmp/programs
cd /tmp/programs || exit 2

client() { # NAME COMMAND…
  local name=$1 status
  shift
  "$@" >/tmp/out 2>&1 </dev/null
  status=$?
  if ((status == 0)); then ok "$name ($(tail -1 /tmp/out))"; else
    failed "$name" "exit status $status"
    grep -v '^ok ' /tmp/out | tail -20
  fi
}

refuses() { # NAME WORDS COMMAND…
  local name=$1 words=$2 said status
  shift 2
  said=$("$@" 2>&1)
  status=$?
  equal "$name: exit status" 69 "$status"
  equal "$name: one sentence" 1 "$(wc -l <<<"$said")"
  if [[ $said == *"$words"* ]]; then ok "$name: it says $words"; else failed "$name" "it says: $said"; fi
}

for mode in 0 1 2; do
  echo $mode >$scope || failed "ptrace_scope $mode" "cannot be set"
  for name in document_example lifetimes deaths fork_child second_process directory sysfs transfers; do
    client "ptrace_scope $mode: $name" user timeout 120 ./vfio-cused run -- "./$name"
  done
  # The parent of what is left is the supervisor by then.
  client "ptrace_scope $mode: an orphan" user timeout 120 ./vfio-cused run -- \
    sh -c "(sleep 1; ./document_example >/tmp/orphan; echo done >>/tmp/orphan) & exit 0"
  equal "ptrace_scope $mode: an orphan is served" done "$(tail -1 /tmp/orphan)"
  rm -f /tmp/orphan
done
equal "ptrace_scope 2: the client's user and group" 1000:1000 \
  "$(user ./vfio-cused run -- sh -c 'echo $(id -u):$(id -g)')"
client "ptrace_scope 2: root" ./vfio-cused run -- ./document_example
echo 0 >/proc/sys/kernel/unprivileged_userns_clone
refuses "ptrace_scope 2 without user namespaces" "ptrace_scope is 2" \
  user ./vfio-cused run -- ./document_example
echo 1 >/proc/sys/kernel/unprivileged_userns_clone
echo 3 >$scope
refuses "ptrace_scope 3" "ptrace_scope is 3" user ./vfio-cused run -- ./document_example
refuses "ptrace_scope 3 for root" "ptrace_scope is 3" ./vfio-cused run -- ./document_example
finish
