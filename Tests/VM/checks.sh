# shellcheck shell=bash
# Sourced by the tests here: checks that print `ok NAME` or `FAILED NAME: why`,
# and the closing line.
passed=0 failed=0 skipped=0

ok() {
  echo "ok $1"
  passed=$((passed + 1))
}

skipped() { # NAME WHY
  echo "SKIPPED $1: $2"
  skipped=$((skipped + 1))
}

failed() { # NAME WHY
  echo "FAILED $1: $2"
  failed=$((failed + 1))
}

equal() { # NAME EXPECTED SEEN
  if [[ $2 == "$3" ]]; then ok "$1"; else failed "$1" "expected '$2', saw '$3'"; fi
}

at_least() { # NAME BOUND SEEN
  if (($3 >= $2)); then ok "$1 ($3)"; else failed "$1" "expected at least $2, saw $3"; fi
}

at_most() { # NAME BOUND SEEN
  if (($3 <= $2)); then ok "$1 ($3)"; else failed "$1" "expected at most $2, saw $3"; fi
}

# Passes on the check lines of another program from standard input.
count_lines() {
  local line
  while IFS= read -r line; do
    case $line in
      'ok '*) ok "${line#ok }" ;;
      'FAILED '*) failed "$(cut -d: -f1 <<<"${line#FAILED }")" "${line#*: }" ;;
    esac
  done
}

finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  ((failed == 0)) || exit 1
}
