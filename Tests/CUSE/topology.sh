#!/bin/bash
# Prints a topology of COUNT devices behind COUNT/32 root ports, each in a group of its own, 0 to COUNT-1:
# topology.sh COUNT
set -euo pipefail

printf 'buses:\n  - bus: pci\n    root: 0000:00\n    devices:\n'
for ((i = 0; i < $1; i++)); do
  if ((i % 32 == 0)); then
    printf '      - address: 0000:00:%02x.%d\n        bridge: root-port\n        secondary: %02x\n' \
      $((i / 32 / 8)) $((i / 32 % 8)) $((1 + i / 32))
    printf '        devices:\n'
  fi
  printf '          - address: 0000:%02x:%02x.0\n            model: edu\n            group: %d\n' \
    $((1 + i / 32)) $((i % 32)) "$i"
done
