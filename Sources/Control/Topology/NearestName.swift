/// The one of `names` that `text` is most likely a misspelling of, nil when none is close.
///
/// Close is at most one edit for every three letters, and at least one. An edit takes, adds or changes
/// a letter, or swaps two neighbours.
func nearestName(to text: String, in names: [String]) -> String? {
  let letters = Array(text.lowercased())
  guard letters.count <= 64 else { return nil }
  let allowed = max(1, letters.count / 3)
  return
    names
    .map { (name: $0, edits: editDistance(letters, Array($0.lowercased()))) }
    .filter { $0.edits <= allowed }
    .min { ($0.edits, $0.name) < ($1.edits, $1.name) }?
    .name
}

private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var before: [Int] = []
  var row = Array(0...b.count)
  for i in a.indices {
    var next = [i + 1]
    for j in b.indices {
      var edits = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        edits = min(edits, before[j - 1] + 1)
      }
      next.append(edits)
    }
    (before, row) = (row, next)
  }
  return row[b.count]
}

/// `text` between quotes, in one line and not too long for a message.
func quoted(_ text: String) -> String {
  let shown = text.unicodeScalars.prefix(60).map { $0.escaped(asASCII: false) }.joined()
  return "\"\(shown)\(text.unicodeScalars.count > 60 ? "…" : "")\""
}

/// `a, b and c`.
func listed(_ names: [String], _ conjunction: String = "and") -> String {
  guard let last = names.last, names.count > 1 else { return names.joined() }
  return names.dropLast().joined(separator: ", ") + " \(conjunction) " + last
}
