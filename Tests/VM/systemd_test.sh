#!/bin/bash
# Tests systemd/vfio-cused.service as far as that goes without systemd running.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
unit=$here/../../systemd/vfio-cused.service
# shellcheck source=Tests/VM/checks.sh
. "$here/checks.sh"

scratch=$(mktemp -d /tmp/systemd_test.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# verify wants the program to exist; it need not be installed for this test.
test_verify() {
  local status=0
  sed 's,^ExecStart=/usr/bin/vfio-cused,ExecStart=/bin/true,' "$unit" >"$scratch/vfio-cused.service"
  equal "the unit starts /usr/bin/vfio-cused serve" 1 "$(grep -cx 'ExecStart=/bin/true serve' "$scratch/vfio-cused.service")"
  systemd-analyze verify --man=no "$scratch/vfio-cused.service" >"$scratch/seen" 2>&1 || status=$?
  equal "systemd-analyze verify: status" 0 "$status"
  # Of this unit only; the machine's others may have faults of their own.
  equal "systemd-analyze verify: no complaint" '' "$(grep vfio-cused "$scratch/seen")"
}

# Each of these gives a service a mount namespace, and hides its FUSE mount.
test_no_mount_namespace() {
  local settings='Private(Tmp|Devices|Mounts|Users|IPC)|Protect[A-Za-z]+|Read(Only|Write)Paths|InaccessiblePaths|ExecPaths|NoExecPaths|Bind(ReadOnly)?Paths|TemporaryFileSystem|Root(Directory|Image)|MountFlags|MountAPIVFS|DynamicUser|ProcSubset|ExtensionImages|LoadCredential'
  equal "no setting unshares mounts" '' "$(grep -E "^($settings)" "$unit")"
}

if command -v systemd-analyze >/dev/null; then
  test_verify
else
  failed "systemd-analyze verify" "systemd-analyze is missing (Debian package systemd)"
fi
test_no_mount_namespace
finish
