#!/bin/bash
# Runs every command that the README shows (the lines of its console blocks after `$ `).
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
# shellcheck source=Tests/VM/checks.sh
. Tests/VM/checks.sh

commands() { awk '/^```/ { inside = /^```console/ } inside && sub(/^\$ /, "")' README.md; }

run() { # COMMAND
  local output status=0
  output=$(bash -c "$1" </dev/null 2>&1) || status=$?
  if ((status == 0)); then ok "README: $1"; else failed "README: $1" "exit status $status: $(tail -3 <<<"$output" | tr '\n' ' ')"; fi
}

while IFS= read -r command; do
  case $command in
    scripts/test*) echo "note README: $command is what runs this" ;;
    # Needs CUSE, and ends when it is told to.
    "sudo "*" serve") run "scripts/vm -- Tests/README/until_ready.sh ${command#sudo }" ;;
    *) run "$command" ;;
  esac
done < <(commands)
at_least "README: commands" 4 "$(commands | wc -l)"
finish
