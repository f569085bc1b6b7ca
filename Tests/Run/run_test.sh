#!/bin/bash
# Runs every client and every mishap under vfio-cused run, on this machine, as an ordinary user:
# Tests/Run/run_test.sh [DIRECTORY of the binary]
# As root it becomes user 1000 for all but the lines of the table that want root.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here/../.." || exit 2
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh
# shellcheck source=Tests/Run/ordinary_user.sh
. Tests/Run/ordinary_user.sh

make --silent -C Tests/Clients || exit 2
make --silent -C Tests/Run || exit 2
find_cused "${1:-}"
python=/usr/bin/python3
clients=$PWD/Tests/Clients/build helpers=$PWD/Tests/Run/build

# Runs a command under vfio-cused run as an ordinary user; its status is in `status`, and what it
# wrote in $work/out and $work/err.
under() { # SECONDS COMMAND…
  local limit=$1
  shift
  user timeout -k 5 "$limit" "$cused" run -- "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
}

client() { # NAME SECONDS COMMAND…
  local name=$1
  shift
  under "$@"
  judge "$name"
}

judge() { # NAME
  if ((status == 0)); then
    ok "$1 ($(tail -1 "$work/out"))"
  else
    failed "$1" "exit status $status"
    grep -h -v '^ok ' "$work/out" "$work/err" | tail -30
  fi
}

# Says what is left out for want of root.
is_root() { # NAME
  ((EUID == 0)) && return
  skipped "$1" "it wants root"
  return 1
}

all_clients() {
  local transport who limit command
  while read -r transport who limit command; do
    [[ $transport == run || $transport == both ]] || continue
    # shellcheck disable=SC2086
    set -- $command
    if [[ $who == root ]]; then
      is_root "$command as root" || continue
      timeout -k 5 "$limit" "$cused" run -- "$clients/$1" "${@:2}" >"$work/out" 2>"$work/err" \
        </dev/null
      status=$?
      judge "$command as root"
    else
      client "$command" "$limit" "$clients/$1" "${@:2}"
    fi
  done <Tests/Clients/clients.table
}

# Those that want a machine of their own.
option_clients() {
  local transport who limit rest as
  cd Tests/Clients || return
  while read -r transport who limit rest; do
    [[ $transport == run || $transport == both ]] || continue
    # shellcheck disable=SC2086
    set -- ${rest#* -- }
    as=(user)
    if [[ $who == root ]]; then
      is_root "$rest" || continue
      as=()
    fi
    # shellcheck disable=SC2086
    "${as[@]}" timeout -k 5 "$limit" "$cused" run ${rest%% -- *} -- "$clients/$1" "${@:2}" \
      >"$work/out" 2>"$work/err" </dev/null
    status=$?
    judge "$rest"
  done <options.table
  cd ../..
}

# Mapping where the kernel lets us do less.
mapped_in_a_container() {
  user timeout -k 5 60 "$helpers/without" container "$cused" run \
    --topology share/topologies/testdev.yaml -- "$clients/mapped" \
    >"$work/out" 2>"$work/err" </dev/null
  status=$?
  judge "mapped in a container"
}

# Root gets a huge page where there is none; an ordinary user has to find one. Where none is to be had, that is
# said, and nothing passes.
huge_pages() {
  local pool=/proc/sys/vm/nr_hugepages before
  before=$(cat "$pool" 2>/dev/null) || before=0
  if ((EUID == 0 && before == 0)); then echo 4 2>/dev/null >"$pool"; fi
  user timeout -k 5 60 "$cused" run --topology share/topologies/testdev.yaml -- \
    "$clients/shared_memory" huge >"$work/out" 2>"$work/err" </dev/null
  status=$?
  if ((EUID == 0 && before == 0)); then echo 0 2>/dev/null >"$pool"; fi
  if ((status == 77)); then
    skipped "a huge page shared" "this machine has none ($pool)"
  else
    judge "a huge page shared"
  fi
}

# Today's API: registers that are mapped, by any kind of move, beside RAM, also in a container.
registers() {
  client "registers" 60 "$helpers/registers"
  client "registers by vectors" 60 "$helpers/vectors"
  user timeout -k 5 60 "$cused" run --topology share/topologies/testdev.yaml -- "$helpers/both" \
    >"$work/out" 2>"$work/err" </dev/null
  status=$?
  judge "registers and RAM"
  user timeout -k 5 60 "$helpers/without" container "$cused" run \
    --topology share/topologies/testdev.yaml -- "$helpers/both" >"$work/out" 2>"$work/err" </dev/null
  status=$?
  judge "registers and RAM in a container"
  user timeout -k 5 60 "$helpers/without" container "$cused" run -- "$helpers/registers" \
    >"$work/out" 2>"$work/err" </dev/null
  status=$?
  judge "registers in a container"
}

statuses() {
  under 10 true
  equal "true: exit status" 0 "$status"
  equal "true: nothing is written" '' "$(cat "$work/out" "$work/err")"
  under 10 sh -c 'exit 7'
  equal "the client's exit status" 7 "$status"
  under 10 sh -c 'kill -TERM $$'
  equal "a client that a signal ends" 143 "$status"
  under 10 sh -c 'kill -SEGV $$'
  equal "a client that crashes" 139 "$status"
  local i
  for ((i = 0; i < 10; i++)); do
    under 20 "$clients/directory_killed" self
    [[ $status == 137 ]] || break
  done
  equal "a client that is killed in chdir" 137 "$status"
  under 10 "$work/none"
  equal "no such program: exit status" 127 "$status"
  equal "no such program: one sentence" "vfio-cused: cannot run $work/none: No such file or directory" \
    "$(cat "$work/err")"
  echo '#!/bin/sh' >"$work/script" && chmod 644 "$work/script"
  under 10 "$work/script"
  equal "a program that may not be run" 126 "$status"
  equal "standard input and output" hello \
    "$(echo hello | user timeout 10 "$cused" run -- sh -c 'cat | cat')"
  equal "a TMPDIR that is not there" pci:240 \
    "$(TMPDIR=$work/none user timeout 10 "$cused" run -- ls /dev/vfio 2>&1 | grep :)"
  under 10 sh -c "(sleep 0.5; $clients/document_example >$work/orphan; echo done >>$work/orphan) & exit 3"
  equal "an orphan: the client's exit status" 3 "$status"
  equal "an orphan: it is served to its end" done "$(tail -1 "$work/orphan")"
}

# The document's shell session and its program, lspci, and devices that come and go.
document() {
  local machine=(--topology Tests/Document/topology.yaml)
  count_lines < <(user timeout 60 "$cused" run "${machine[@]}" -- \
    Tests/Document/session.sh "$clients/document_example" 2>&1 |
    sed 's/^\(ok\|FAILED\) /&the document: /')
  if is_root "the document as root"; then
    # The account `user` of the document, in a mount namespace.
    sed '$a user:x:1234:1234::/:/bin/sh' /etc/passwd >"$work/passwd"
    sed '$a user:x:1234:' /etc/group >"$work/group"
    # shellcheck disable=SC2016
    count_lines < <(timeout 60 unshare --mount sh -c '
      mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && shift && exec "$@"' \
      sh "$work" "$cused" run "${machine[@]}" -- Tests/Document/session.sh "$clients/document_example" 2>&1 |
      sed 's/^\(ok\|FAILED\) /&the document as root: /')
  fi
  equal "lspci" "$(cat Tests/Document/lspci.txt)" \
    "$(user timeout 60 "$cused" run "${machine[@]}" -- Tests/Document/lspci.sh 2>/dev/null)"
  equal "lspci of testdev" "$(cat Tests/Document/testdev.txt)" \
    "$(user timeout 60 "$cused" run --topology share/topologies/testdev.yaml -- Tests/Document/testdev.sh)"
  client "hot-plug" 60 Tests/Run/hot_plug.sh "$clients"
  count_lines < <(user timeout 60 "$cused" run "${machine[@]}" -- Tests/Run/host.sh 2>&1)
}

# It cannot work: `refuses NAME STATUS WORDS COMMAND…`
refuses() {
  local name=$1 want=$2 words=$3 said status
  shift 3
  said=$(user timeout 20 "$@" 2>&1)
  status=$?
  equal "$name: exit status" "$want" "$status"
  equal "$name: one sentence" 1 "$(wc -l <<<"$said")"
  if [[ $said == *"$words"* ]]; then ok "$name: it says $words"; else failed "$name" "it says: $said"; fi
}

refusals() {
  cp /bin/true "$work/unreadable" && chmod 111 "$work/unreadable"
  refuses "a program that cannot be read" 69 "chmod +r" "$cused" run -- "$work/unreadable"
  refuses "a listener that is there already" 69 "listener already" \
    "$cused" run -- env -u VFIO_CUSED_RUN "$cused" run -- true
  refuses "no seccomp" 69 "seccomp(2)" "$helpers/without" seccomp "$cused" run -- true
  refuses "no process_vm_readv" 69 "process_vm_readv" \
    "$helpers/without" process_vm_readv "$cused" run -- true
  refuses "another topology inside" 69 "same --topology" \
    "$cused" run -- "$cused" run --topology share/topology.yaml -- true
  refuses "another way to merge inside" 69 "same --topology" \
    "$cused" run -- "$cused" run --auto-merge -- true
  refuses "another /sys inside" 69 "same --topology" \
    "$cused" run --dialect mainline -- "$cused" run -- true
  refuses "another limit of memory inside" 69 "same --topology" \
    "$cused" run --ignore-memlock -- "$cused" run -- true
  refuses "a topology that is not there" 66 "none.yaml" "$cused" run --topology "$work/none.yaml" -- true
}

# What we open for a client by an emulated link is the client's to open.
rights() {
  local outside=/sys/bus/pci/devices/0000:06:0d.0/subsystem/../../..
  equal "nobody gets at us by an emulated link" denied \
    "$(user timeout 20 "$cused" run -- sh -c "cat $outside/proc/self/comm || echo denied" 2>/dev/null)"
  is_root "who reaches root's files by an emulated link" || return
  (umask 077 && echo secret >"$work/secret")
  equal "root reaches root's files by an emulated link" secret \
    "$(timeout 20 "$cused" run -- cat "$outside$work/secret" 2>&1)"
  equal "others do not" denied "$(timeout 20 "$cused" run -- setpriv --reuid 1000 --regid 1000 \
    --clear-groups sh -c "cat $outside$work/secret || echo denied" 2>/dev/null)"
}

nested() {
  client "run inside run" 20 "$cused" run -- "$clients/raw_nolibc"
  equal "run inside run with the same options" 0 "$(user timeout 20 "$cused" run --auto-merge -- \
    "$cused" run --auto-merge -- true 2>&1; echo $?)"
  client "run inside run, from a shell" 20 sh -c "$cused run -- $clients/raw_nolibc && $clients/raw_nolibc"
}

others() {
  client "python" 20 "$python" Tests/Run/client.py
  client "a shell in a shell" 20 sh -c "sh -c 'exec $clients/document_example' | tail -1"
  printf 'all: a b\na b:\n\t%s\n' "$clients/second_process" >"$work/Makefile"
  client "make" 30 make -s -C "$work"
  # shellcheck disable=SC2016
  client "cd, pwd and cd .. in a shell" 20 sh -c 'cd /sys/bus/pci/devices/0000:06:0d.0 &&
    [ "$(pwd)" = /sys/bus/pci/devices/0000:06:0d.0 ] && [ "$(cat vendor)" = 0x1234 ] &&
    [ "$(pwd -P)" = /sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0 ] &&
    [ "$(/bin/pwd)" = "$(pwd -P)" ] && [ "$(readlink driver)" = ../../../../bus/pci/drivers/vfio ] &&
    ls | grep -q ^config$ && cd .. && cd 0000:06:0d.1 && grep -q 0x1234 vendor && cd -P .. && pwd'
  # shellcheck disable=SC2016
  client "a node by /proc/self/fd in a shell" 20 sh -c 'exec 3<>/dev/vfio/pci:240 && [ -c /dev/fd/3 ] &&
    exec 4<>/proc/self/fd/3 && readlink /proc/$$/fd/4'
  client "strace" 20 strace -f -o "$work/strace" "$clients/raw_nolibc"
  # shellcheck disable=SC2016
  client "cd under strace is refused, and nothing hangs" 20 strace -f -o "$work/strace" sh -c '
    cd /sys/bus/pci/devices/0000:06:0d.0 2>/dev/null && exit 1
    cd /sys/bus/pci && cat devices/0000:06:0d.0/vendor'
  client "in a user namespace" 20 unshare -r "$clients/raw_nolibc"
  user unshare -r "$cused" run -- "$clients/lifetimes" >"$work/out" 2>"$work/err"
  status=$?
  judge "all of it in a user namespace"
  local name
  for name in document_example lifetimes deaths "threads 5" second_process fork_child edu_dma directory sysfs \
    working_directory eventfds transfers raw_nolibc raw_threads; do
    # shellcheck disable=SC2086
    user timeout -k 5 40 "$helpers/without" container "$cused" run -- "$clients/"$name \
      >"$work/out" 2>"$work/err"
    status=$?
    judge "$name in a container"
  done
}

same() { # NAME COMMAND…
  local name=$1 alone
  shift
  alone=$(user "$@" 2>&1; echo "$?")
  equal "$name: the same result" "$alone" "$(user timeout 60 "$cused" run -- "$@" 2>&1; echo "$?")"
}

unrelated() {
  echo '#include <stdio.h>
int main(void) { return printf("%d", 1) + none; }' >"$work/bad.c"
  echo 'int f(void) { return 1; }' >"$work/good.c"
  same "gcc -c" sh -c "gcc -O2 -c $work/good.c -o $work/good.o && cksum $work/good.o"
  same "gcc -c with an error" gcc -c "$work/bad.c" -o /dev/null
  same "git status" git -c safe.directory='*' -c core.fsmonitor=false --no-optional-locks status --short Tests
  same "python3 -c 'import ssl'" "$python" -c 'import ssl; print(ssl.OPENSSL_VERSION)'
  same "tar" sh -c 'tar -C /usr/include -cf - linux | cksum'
  same "find" sh -c 'find /usr/include /dev/pts | cksum'
  same "ls -l /dev" sh -c 'ls -l /dev | tr -s " " | grep -v " vfio$" | grep -v ^total'
}

# The processes whose command line has WORD, but our own.
left() { # WORD
  local process found=0
  for process in /proc/[0-9]*; do
    [[ ${process#/proc/} == "$$" || ${process#/proc/} == "$BASHPID" ]] && continue
    { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -q -- "$1" && found=$((found + 1))
  done
  echo "$found"
}

wait_for() { # CONDITION…
  local i
  for ((i = 0; i < 100; i++)); do
    "$@" && return
    sleep 0.05
  done
  return 1
}

supervisor_is_killed() {
  local supervisor
  user sh -c "echo \$\$ >$work/pid; exec $cused run -- $clients/daemon_killed" >"$work/out" 2>&1 &
  wait_for grep -q ready "$work/out"
  supervisor=$(cat "$work/pid")
  kill -KILL "$supervisor"
  wait $! 2>/dev/null
  equal "supervisor killed: its status" 137 "$?"
  none_left() { [[ $(left "$clients/daemon_killed") == 0 ]]; }
  if wait_for none_left; then ok "supervisor killed: the client ends"; else
    failed "supervisor killed" "the client is still there"
  fi
  user sh -c "echo \$\$ >$work/pid; exec $cused run -- sh -c '$clients/daemon_killed; :'" >"$work/out" 2>&1 &
  wait_for grep -q ready "$work/out"
  kill -KILL "$(cat "$work/pid")"
  wait $! 2>/dev/null
  if wait_for none_left; then ok "supervisor killed: the client's child ends"; else
    failed "supervisor killed" "the client's child is still there"
  fi
}

# What a killed supervisor leaves, the next one removes.
leftovers() {
  user "$cused" run -- sh -c 'ls /dev/vfio >/dev/null; kill -KILL $PPID; sleep 5' 2>/dev/null
  equal "supervisor killed: its directory stays" 1 "$(find "$work" -maxdepth 1 -name 'vfio-cused-*' | wc -l)"
  user mkdir "$work/vfio-cused-mine"
  user "$cused" run -- ls /dev/vfio >/dev/null
  equal "supervisor killed: the next one removes it, and nothing else" vfio-cused-mine \
    "$(find "$work" -maxdepth 1 -name 'vfio-cused-*' -printf '%f\n')"
  rmdir "$work/vfio-cused-mine"
}

state() { # PID
  cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null
}

signals() {
  local supervisor child
  user timeout --preserve-status -s INT 1 "$cused" run -- sleep 20
  equal "SIGINT that is sent to us ends the client" 130 "$?"
  user timeout --preserve-status -s TERM 1 "$cused" run -- sleep 20
  equal "SIGTERM that is sent to us ends the client" 143 "$?"
  user sh -c "echo \$\$ >$work/pid; exec $cused run -- sh -c 'trap \"echo got; exit 5\" USR1; echo up; while :; do sleep 0.05; done'" \
    >"$work/out" 2>&1 &
  wait_for grep -q up "$work/out"
  supervisor=$(cat "$work/pid")
  child=$(cat /proc/"$supervisor"/task/*/children | tr ' ' '\n' | grep -m1 .)
  kill -STOP "$child"
  stopped() { [[ $(state "$supervisor") == T ]]; }
  running() { [[ $(state "$supervisor") != T && $(state "$child") != T ]]; }
  if wait_for stopped; then ok "a client that stops stops us"; else failed stop "we go on"; fi
  kill -CONT "$supervisor"
  if wait_for running; then ok "SIGCONT continues both"; else failed continue "$(state "$child")"; fi
  kill -USR1 "$supervisor"
  wait $!
  equal "SIGUSR1 reaches the client" 5 "$?"
}

leaks() {
  local counts
  counts=$(user timeout 100 "$cused" run -- sh -c "
    $clients/rounds 300 >/dev/null; sleep 0.1; ls /proc/\$PPID/fd | wc -l
    $clients/rounds 300 >/dev/null; sleep 0.1; ls /proc/\$PPID/fd | wc -l")
  # A few belong to threads that have called lately.
  at_most "no descriptor of ours is left open" "$(($(head -1 <<<"$counts") + 8))" "$(tail -1 <<<"$counts")"
  user strace -f -e trace=ioctl -o "$work/strace" "$cused" run -- ls /sys/class/vfio >"$work/out" 2>&1
  at_least "strace sees us wait for calls" 1 "$(grep -c NOTIF_RECV "$work/strace")"
  at_most "nobody looks for calls in a loop when the clients are gone" 10 \
    "$(grep -c 'NOTIF_RECV.*ENOENT' "$work/strace")"
  equal "nothing is left in the temporary directory" '' "$(find "$work" -name 'vfio-cused-*' | head -1)"
}

traces() {
  user "$cused" run --trace-file "$work/trace" -- "$clients/raw_nolibc"
  equal "--trace-file has a line for each call" 7 "$(wc -l <"$work/trace")"
  at_least "--trace-file decodes" 1 \
    "$(grep -c 'ioctl(3, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0") = 5 <[0-9]* us>$' "$work/trace")"
  user "$cused" run --trace -- "$clients/raw_nolibc" 2>"$work/err"
  equal "--trace writes to standard error" 7 "$(wc -l <"$work/err")"
}

all_clients
document
option_clients
mapped_in_a_container
huge_pages
registers
statuses
refusals
rights
nested
others
unrelated
signals
supervisor_is_killed
leftovers
leaks
traces
finish
