#!/bin/bash
# Runs in the VM, as root: guest.sh BINARIES TOOLS OUT (directories)
# Leaves in OUT: calls.json of client.c, and nodes, `COUNT MILLISECONDS KIB` a line.
set -euo pipefail

bin=$1 tools=$2 out=$3
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=Tests/VM/serve.sh
. "$here/../../Tests/VM/serve.sh"

fail() {
  echo "$*" >&2
  exit 1
}

wait_until() { # SECONDS COMMAND…
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "gave up waiting for: $*"
    sleep 0.02
  done
}

start() { # [serve's options]
  start_serve "$bin/vfio-cused" serve "$@" || fail "serve failed: $(tail -1 "$log")"
}

stop() {
  end_serve || fail "serve failed: $(tail -1 "$log")"
}

calls() {
  "$tools/reference_server" 261 0 &
  local server=$!
  wait_until 20 test -c /dev/vfio-reference
  start
  "$tools/client" -b 150 -n 50 >"$out/calls.json"
  stop
  kill $server
}

# How long until COUNT nodes are there, and what the daemon needs for them.
nodes() { # COUNT
  local begin end
  "$here/../../Tests/CUSE/topology.sh" "$1" >/tmp/nodes.yaml
  begin=$(date +%s%N)
  start --topology /tmp/nodes.yaml
  end=$(date +%s%N)
  [[ $(find /dev/vfio -type c -name '*:*' | wc -l) == "$1" ]] || fail "not all $1 nodes are there"
  echo "$1 $(((end - begin) / 1000000)) $(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status")" >>"$out/nodes"
  stop
}

calls
nodes 1
nodes 1000
