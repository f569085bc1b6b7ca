#!/bin/bash
# Tests scripts/vm itself: Tests/VM/vm_test.sh [uml|qemu] (default: both)
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
mark=VM_TEST_MARK=$$.$RANDOM
# With `&` this shell would leave SIGINT ignored in the script.
vm=(env --default-signal=INT "$mark" "$here/../../scripts/vm")
# shellcheck source=Tests/VM/checks.sh
. "$here/checks.sh"

# Runs in the guest; prints `ok NAME` or `FAILED NAME: why` for what can be seen
# from there, so that one boot serves many checks.
# shellcheck disable=SC2016
guest_checks='
  set -u
  check() { local name=$1; shift; if why=$("$@" 2>&1); then echo "ok $name"; else echo "FAILED $name: ${why:-false: $*}"; fi; }
  expected=("a b" "" "quote \" and '\''" $'\''two\nlines'\'' "\$HOME * \\" "--")
  same() { [[ "${#given[@]}:${given[*]@Q}" == "${#expected[@]}:${expected[*]@Q}" ]] || { echo "${given[*]@Q}"; return 1; }; }
  given=("$@")
  check "arguments arrive exactly" same
  check "environment: --env arrives" test "$COLOUR" = "deep blue"
  check "environment: the caller'\''s does not" test -z "${NOT_PASSED-}"
  check "environment: HOME is /root" test "$HOME" = /root
  check "user is root" test "$EUID" = 0
  check "current directory" test "$PWD" = "$WHERE"
  check "standard input is empty" test -z "$(cat)"
  check "/dev/cuse and /dev/fuse are there" test -c /dev/cuse -a -c /dev/fuse
  check "/dev/cuse opens" bash -c "exec 3<>/dev/cuse"
  check "process substitution" cmp <(echo x) <(echo x)
  check "/proc, /sys, /dev/pts" test -d /proc/self -a -d /sys/fs/fuse/connections -a -c /dev/pts/ptmx
  check "/tmp, /run, /dev/shm are private" test ! -e "$LEAK" -a -w /tmp -a -w /run -a -w /dev/shm
  check "loopback is up" bash -c "read -r up < /sys/class/net/lo/flags; ((up & 1))"
  check "open files: at least 65536" test "$(ulimit -n)" -ge 65536
  check "processes of an ordinary user" test "$(setpriv --reuid 1000 --regid 1000 --clear-groups id -u)" = 1000
  check "strace" strace -f -o /tmp/trace -e trace=execve true
  cat >/tmp/kill.c <<"END"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int status;
  pid_t child = fork();
  if (child == 0) for (;;) pause();
  kill(child, SIGKILL);
  return !(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}
END
  check "gcc: a dynamic program" eval "gcc -o /tmp/kill /tmp/kill.c && /tmp/kill"
  check "gcc: a static program" eval "gcc -static -o /tmp/kill /tmp/kill.c && /tmp/kill"
  cat >/tmp/device.c <<"END"
#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
static void on_open(fuse_req_t request, struct fuse_file_info *file) { fuse_reply_open(request, file); }
int main(int argc, char **argv) {
  const char *names[] = {"DEVNAME=vfio/vm_test"};
  struct cuse_info info = {.dev_info_argc = 1, .dev_info_argv = names};
  struct cuse_lowlevel_ops operations = {.open = on_open};
  return cuse_lowlevel_main(argc, argv, &info, &operations, 0);
}
END
  await() { for _ in $(seq 100); do "$@" && return; sleep 0.1; done; return 1; }
  gone() { [[ ! -e $1 ]]; }
  device() {
    gcc -o /tmp/device /tmp/device.c $(pkg-config --cflags --libs fuse3) || return
    /tmp/device -f & local server=$!
    await test -c /dev/vfio/vm_test && (exec 3<>/dev/vfio/vm_test) || return
    kill -KILL $server && await gone /dev/vfio/vm_test
  }
  check "a CUSE device comes, opens and goes in /dev/vfio" device
  check "--out is writable" eval "echo from the guest >\"$OUT/result\""
  (sleep 1000 &) # left behind: must not keep the VM up
  exit 7
'

test_many_in_one_boot() {
  local status=0 leak=$scratch/leak
  : >"$leak"
  # shellcheck disable=SC2016,SC1003
  (cd "$scratch/clone/sub" && NOT_PASSED=1 "${vm[@]}" --kernel "$kernel" --timeout 120 \
    --env COLOUR='deep blue' --env WHERE="$PWD" --env LEAK="$leak" \
    --env OUT="$scratch/out" --out "$scratch/out" -- \
    bash -c "$guest_checks" guest 'a b' '' "quote \" and '" $'two\nlines' '$HOME * \' --) \
    >"$scratch/seen" 2>"$scratch/errors" || status=$?
  count_lines <"$scratch/seen"
  equal "exit status 7" 7 "$status"
  equal "nothing on stderr" '' "$(cat "$scratch/errors")"
  equal "output is free of CR and kernel messages" '' "$(grep -v -e '^ok ' -e '^FAILED ' "$scratch/seen")"
  equal "--out came back" 'from the guest' "$(cat "$scratch/out/result" 2>&1)"
}

# Two copies of the project under /tmp, the tool run from one in the other; also
# a large output whose end must not be lost, and that it comes while COMMAND runs.
test_fresh_copy() {
  local status=0 line first='' rest
  mkdir -p "$scratch/fresh/scripts" "$scratch/fresh/.git"
  cp "$here"/../../scripts/vm* "$scratch/fresh/scripts/"
  echo 'in the fresh copy' >"$scratch/fresh/file"
  coproc fresh (
    cd "$scratch/clone/sub"
    # shellcheck disable=SC2016
    exec env "$mark" "$scratch/fresh/scripts/vm" --kernel "$kernel" --timeout 120 -- bash -c '
      cat "$0/file" ../file; sleep 5; seq 300000; printf "no newline"' "$scratch/fresh"
  )
  # shellcheck disable=SC2154  # coproc sets fresh_PID
  local began pid=$fresh_PID
  exec {seen}<&"${fresh[0]}"
  for _ in 1 2; do read -r line <&"$seen" && first+="$line;"; done
  began=$EPOCHREALTIME
  rest=$(cat <&"$seen" | cksum)
  equal "both working trees under /tmp are visible" 'in the fresh copy;in the clone;' "$first"
  at_least "output comes while the command runs (ms before the end)" 3000 \
    $((${EPOCHREALTIME/./} / 1000 - ${began/./} / 1000))
  equal "all of a long output comes" "$( (seq 300000 && printf 'no newline') | cksum)" "$rest"
  exec {seen}<&-
  wait "$pid" || status=$?
  equal "exit status 0" 0 "$status"
}

test_time_limit() {
  local status=0 limit=10 began=$SECONDS
  [[ $kernel == uml ]] || limit=30 # room for the boot on a busy machine
  "${vm[@]}" --kernel "$kernel" --timeout $limit -- sh -c 'echo started; sleep 1000' \
    >"$scratch/seen" 2>"$scratch/errors" || status=$?
  equal "time limit: status 124" 124 "$status"
  at_most "time limit: ends in time (s)" $((limit + 10)) $((SECONDS - began))
  equal "time limit: output until then" started "$(cat "$scratch/seen")"
  equal "time limit: one sentence" 1 "$(grep -c 'time limit' "$scratch/errors")"
}

test_signal() {
  local signal=$1 want=$2 status=0 began=$SECONDS
  "${vm[@]}" --kernel "$kernel" --timeout 60 -- sleep 1000 >"$scratch/seen" 2>&1 &
  local pid=$!
  sleep 2
  at_least "SIG$signal: processes are recognised" 4 "$(vm_processes | wc -l)"
  kill -"$signal" "$pid"
  wait "$pid" || status=$?
  equal "SIG$signal ends it: status" "$want" "$status"
  at_most "SIG$signal ends it: seconds" 8 $((SECONDS - began))
}

# The VM dies suddenly, as by the machine's memory running out.
test_vm_killed() {
  local status=0
  "${vm[@]}" --kernel uml --timeout 60 -- sleep 1000 >"$scratch/seen" 2>"$scratch/errors" &
  local pid=$! file
  sleep 4
  for file in /proc/[0-9]*/environ; do
    # The machine itself: the process whose parent is timeout.
    if grep -qzxF "$mark" "$file" && grep -qx timeout "/proc/$(parent "${file%/environ}")/comm"; then
      kill -KILL "$(basename "${file%/environ}")"
    fi
  done 2>/dev/null
  wait "$pid" || status=$?
  equal "the VM dies: status 125" 125 "$status"
  equal "the VM dies: one sentence" 1 "$(grep -c 'ended without a status' "$scratch/errors")"
}

parent() { sed -n 's/^PPid:\t//p' "$1/status"; }

test_wrong_arguments() {
  local status
  for arguments in '' '--timeout 0 true' '--kernel other true' '--env 1=2 true' '--unknown true' '--out'; do
    status=0
    # shellcheck disable=SC2086
    "${vm[@]}" $arguments >/dev/null 2>"$scratch/errors" || status=$?
    equal "wrong arguments ($arguments): status and one line" '2 1' "$status $(wc -l <"$scratch/errors")"
  done
}

test_nothing_left() {
  equal "no temporary files are left" "$files_before" "$(temporary_files)"
  equal "no processes are left" '' "$(vm_processes)"
}

temporary_files() { find /tmp /dev/shm -maxdepth 1 -name 'vfio-cused-vm.*' 2>/dev/null | sort; }

# All that our runs of scripts/vm started: they inherit the mark, whatever group
# or session they moved to.
vm_processes() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -qzxF "$mark" "$file"; then
      tr '\0' ' ' <"${file%environ}cmdline" && echo
    fi
  done 2>/dev/null
}

scratch=$(mktemp -d "/tmp/vm test, with a space.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/clone/.git" "$scratch/clone/sub"
echo 'in the clone' >"$scratch/clone/file"

files_before=$(temporary_files)

(($#)) || set -- uml qemu
for kernel in "$@"; do
  echo "# $kernel"
  test_many_in_one_boot
  test_fresh_copy
  test_time_limit
  test_signal INT 130
  test_nothing_left
done
kernel=uml
test_signal TERM 143
test_vm_killed
test_wrong_arguments
test_nothing_left
finish
