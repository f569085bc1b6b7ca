# shellcheck shell=bash
# Sourced by what runs in the VM, as root: starts `vfio-cused serve`, and ends it.
log=/tmp/serve.log daemon=

# Starts it and waits until it says that it is ready. Where it ends instead, or takes three minutes, $log has its
# last words.
start_serve() { # COMMAND… [OPTION…]
  local end=$((SECONDS + 180))
  : >"$log"
  "$@" 2>>"$log" &
  daemon=$!
  until grep -q '^vfio-cused: ready' "$log"; do
    kill -0 "$daemon" 2>/dev/null && ((SECONDS < end)) || return 1
    sleep 0.02
  done
}

# Ends it by SIGNAL, with its exit status.
end_serve() { # [SIGNAL]
  kill -"${1:-TERM}" "$daemon"
  wait "$daemon"
}
