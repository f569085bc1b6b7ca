import ArgumentParser
import Glibc

/// The argument of `--owner`: a user, and a group if it is not the user's own.
struct NodeOwner: ExpressibleByArgument {
  var user: UInt32
  var group: UInt32

  static let root = NodeOwner(user: 0, group: 0)

  private init(user: UInt32, group: UInt32) {
    self.user = user
    self.group = group
  }

  /// Reads `user`, `user:group` or `:group`, names or numbers.
  init?(argument: String) {
    let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, !argument.isEmpty else { return nil }
    var owner = Self.root
    if !first.isEmpty {
      if let number = UInt32(first) {
        // A user without an entry has no group to go with it.
        owner = NodeOwner(user: number, group: getpwuid(number)?.pointee.pw_gid ?? 0)
      } else if let entry = getpwnam(String(first)) {
        owner = NodeOwner(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
      } else {
        return nil
      }
    }
    if parts.count == 2 {
      if let number = UInt32(parts[1]) {
        owner.group = number
      } else if let entry = getgrnam(String(parts[1])) {
        owner.group = entry.pointee.gr_gid
      } else {
        return nil
      }
    }
    self = owner
  }
}

/// The argument of `--mode`: permission bits in octal.
struct NodeMode: ExpressibleByArgument {
  var bits: UInt32

  init(bits: UInt32) {
    self.bits = bits
  }

  init?(argument: String) {
    guard let bits = UInt32(argument, radix: 8), bits <= 0o777 else { return nil }
    self.bits = bits
  }

  var defaultValueDescription: String { "0" + String(bits, radix: 8) }
}
