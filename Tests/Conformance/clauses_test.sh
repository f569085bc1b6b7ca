#!/bin/bash
# Checks docs/conformance.md: clauses are numbered in order, each has a test or the reason why there is none,
# and every test that it names is there and is run.
# No pipefail: grep -q leaves before its input ends.
set -eu

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh

page=docs/conformance.md

# A test of the core: Suite/test.
swift_test() { # SUITE TEST
  local file
  file=$(find Tests -name "$1.swift" | head -1)
  [[ -n $file ]] && grep -A25 '@Test' "$file" | grep -qE "func $2\("
}

# A function of a client whose program some table or script runs.
client_test() { # FILE FUNCTION
  local file name=${1%.c}
  file=$(find Tests -name "$1" | head -1)
  [[ -n $file ]] && grep -qE "^[a-z].*\b$2\(" "$file" || return
  [[ $2 == main ]] || (($(grep -cE "\b$2\(" "$file") > 1)) || return
  cat Tests/*/*.table Tests/*/*.sh | grep -v '^#' | grep -qE "\b$name\b"
}

# A function of a script, or the script. Two folders may have scripts of one name.
script_test() { # FILE FUNCTION
  local files
  mapfile -t files < <(find Tests -name "$1")
  ((${#files[@]})) || return
  [[ -z $2 ]] && return
  grep -qE "^$2\(\)" "${files[@]}" && (($(cat Tests/*/*.sh | grep -cE "^ *$2\b") > 1))
}

references() { # LINE
  grep -oE '`[A-Za-z0-9_]+(\.c|\.sh)?/[A-Za-z_0-9]+`|`[a-z_]+\.sh`' <<<"$1" | tr -d '`'
}

last_section=0 last_clause=0 clauses=0 names=0
while IFS= read -r line; do
  IFS='|' read -r _ number _ _ core clients _ <<<"$line"
  number=${number// /}
  section=${number%.*} clause=${number#*.}
  if ((section != last_section)); then last_clause=0; fi
  if ((section < last_section || clause != last_clause + 1)); then
    failed "clause $number" "it comes after $last_section.$last_clause; number the clauses in order"
  fi
  last_section=$section last_clause=$clause clauses=$((clauses + 1))
  tests=$(references "$core $clients" || true)
  if [[ -z $tests && $core != *—* ]]; then
    failed "clause $number" "it names no test; write one, or — and the reason"
  fi
  while read -r name; do
    [[ -n $name ]] || continue
    names=$((names + 1))
    file=${name%%/*} function=
    [[ $name == */* ]] && function=${name#*/}
    case $file in
      *.c) client_test "$file" "$function" ;;
      *.sh) script_test "$file" "$function" ;;
      *) swift_test "$file" "$function" ;;
    esac || failed "clause $number" "there is no test $name that is run; correct the name in $page"
  done <<<"$tests"
done < <(grep -E '^\| [0-9]+\.[0-9]+ \|' "$page")

at_least "clauses in $page" 90 "$clauses"
ok "$clauses clauses name tests $names times"
finish
