# shellcheck shell=bash
# Sourced by tests of vfio-cused run, in the tree's root: they run it as an ordinary user.

work=$(mktemp -d) && chmod 777 "$work"
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

# Root becomes user 1000.
user() { # COMMAND…
  if ((EUID == 0)); then
    setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all "$@"
  else
    "$@"
  fi
}

# Leaves the program in $cused, built unless DIRECTORY has it. It and what the tests use can be read from the
# working directory, which is another tree where an ordinary user may not reach into this one.
find_cused() { # [DIRECTORY]
  local bin=${1:-}
  bin=${bin:-$(scripts/build)} && bin=$(realpath -- "$bin") || exit 2
  if ! user test -x "$bin/vfio-cused" -a -r share/topology.yaml; then
    mkdir "$work/tree"
    cp -r share Tests "$bin/vfio-cused" "$work/tree"
    chmod -R a+rX "$work/tree"
    cd "$work/tree" && bin=$PWD
  fi
  cused=$bin/vfio-cused
}

# Until a condition holds, which takes as long as it takes.
wait_until() { # COMMAND…
  local i
  for ((i = 0; i < 1200; i++)); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
