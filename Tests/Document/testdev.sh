#!/bin/sh
# What lspci says of testdev and the bridge above it, on share/topologies/testdev.yaml: testdev.sh [OPTION…]
here=$(dirname "$0")
for place in 00:01.0 01:; do
	lspci -i "$here/pci.ids" -vvv -nn -s $place "$@" 2>/dev/null
done
