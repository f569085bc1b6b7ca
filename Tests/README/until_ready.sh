#!/bin/bash
# Starts a daemon, waits until it is ready, and ends it: until_ready.sh COMMAND…
set -euo pipefail

"$@" 2>/tmp/until_ready.log &
for ((i = 0; i < 400; i++)); do
  if grep -q '^vfio-cused: ready' /tmp/until_ready.log; then
    kill $!
    wait $!
    exit
  fi
  sleep 0.05
done
cat /tmp/until_ready.log
exit 1
