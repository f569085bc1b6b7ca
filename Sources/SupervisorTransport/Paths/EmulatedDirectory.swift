/// A directory that clients see. Nothing of it is made before it is asked for.
public struct EmulatedDirectory: Sendable {
  /// Whether this is all there is in it; otherwise the machine's own has things there, too.
  public var isWhole: Bool
  private let list: @Sendable () -> [String]
  private let find: @Sendable (String) -> EmulatedNode?

  /// - Parameters:
  ///   - names: what is in it, each name once.
  ///   - child: nil for a name that is not in it. Must not list: every path that passes here asks.
  public init(
    isWhole: Bool, names: @escaping @Sendable () -> [String],
    child: @escaping @Sendable (String) -> EmulatedNode?
  ) {
    self.isWhole = isWhole
    list = names
    find = child
  }

  /// A directory of the machine's own with one more name in it.
  static func beside(_ name: String, _ directory: EmulatedDirectory) -> EmulatedDirectory {
    EmulatedDirectory(
      isWhole: false, names: { [name] }, child: { $0 == name ? .directory(directory) : nil })
  }

  /// Without `.` and `..`.
  public var names: [String] { list() }

  /// - Returns: nil for a name that is not in it.
  public subscript(name: String) -> EmulatedNode? { find(name) }

  /// Both in one; where they have the same name, both directories in one or else what this has.
  func merged(with other: EmulatedDirectory) -> EmulatedDirectory {
    EmulatedDirectory(
      isWhole: isWhole && other.isWhole,
      names: {
        let mine = names
        let known = Set(mine)
        return mine + other.names.filter { !known.contains($0) }
      },
      child: { name in
        switch (self[name], other[name]) {
        case (.directory(let a), .directory(let b)): .directory(a.merged(with: b))
        case (let a, let b): a ?? b
        }
      })
  }
}
