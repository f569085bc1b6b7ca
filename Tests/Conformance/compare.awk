# Compares what the probe said with what a real kernel did:
#   awk -f compare.awk file=1 ALLOWED file=2 GOLDEN file=3 GOT
# ALLOWED has a pattern, blanks and a reason a line; a pattern is the beginning of an observation, or all of
# it with a $ at its end; with a ? before it, it need not differ. Only sections that GOLDEN has are compared. Exits with 1 where a difference is not
# allowed, and where one that is allowed does not exist.

/^#/ || /^$/ { next }

file == 1 {
  pattern[++patterns] = $1
  if (sub(/^\?/, "", pattern[patterns])) used[patterns] = 1
  sub(/^[^ \t]+[ \t]+/, "")
  reason[patterns] = $0
  next
}

# A name may occur more than once: it counts with its turn.
{
  name = $0
  sub(/: .*/, "", name)
  section = name
  sub(/\..*/, "", section)
  turn[file, name]++
  key = name SUBSEP turn[file, name]
}

file == 2 {
  golden[key] = $0
  order[++lines] = key
  known[section] = 1
  next
}

section in known {
  got[key] = $0
  if (!(key in golden)) {
    order[++lines] = key
    golden[key] = name ": (nothing)"
  }
}

function allowed(name,    i) {
  for (i = 1; i <= patterns; i++)
    if (pattern[i] ~ /\$$/ ? name "$" == pattern[i] : index(name, pattern[i]) == 1) {
      used[i] = 1
      return i
    }
  return 0
}

END {
  for (i = 1; i <= lines; i++) {
    key = order[i]
    if ((key in got) && got[key] == golden[key]) {
      same++
      continue
    }
    name = golden[key]
    sub(/: .*/, "", name)
    ours = key in got ? got[key] : "(nothing)"
    if (index(ours, name ": ") == 1) ours = substr(ours, length(name) + 3)
    if (rule = allowed(name)) {
      tolerated++
      printf "allowed  %s\n         ours: %s (%s)\n", golden[key], ours, reason[rule]
    } else {
      wrong++
      printf "DIFFERS  %s\n         ours: %s\n", golden[key], ours
    }
  }
  for (i = 1; i <= patterns; i++)
    if (!(i in used) && substr(pattern[i], 1, index(pattern[i], ".") - 1) in known) {
      printf "STALE    %s: no difference begins so; take it off the list of allowed ones\n", pattern[i]
      wrong++
    }
  printf "%d matched, %d differ: %d allowed, %d not\n", same, wrong + tolerated, tolerated, wrong
  exit wrong > 0
}
