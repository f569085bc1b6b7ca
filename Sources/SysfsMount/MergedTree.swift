import Glibc
import Sysfs

/// The emulated `/sys`, and the machine's own names in the directories that a machine has anyway.
///
/// Those are symbolic links to where the machine's `/sys` is, so that what they lead to, and who may do what
/// there, stays the kernel's business.
struct MergedTree: Sendable {
  let tree: SysfsTree
  /// Where the machine's own `/sys` is.
  let machine: String

  /// What is at a path below `/sys`, nil for nothing.
  func node(at path: [String]) -> SysfsNode? {
    if let node = tree.lookup(path) { return node }
    guard case .directory(let parent)? = tree.lookup(path.dropLast()), parent.isShared else {
      return nil
    }
    let real = place(of: path)
    var attributes = stat()
    return lstat(real, &attributes) == 0 ? .symlink(real) : nil
  }

  /// The names in `directory`, which is at `path`.
  func names(in directory: SysfsDirectory, at path: [String]) -> [String] {
    let names = directory.names
    guard directory.isShared, let stream = opendir(place(of: path)) else { return names }
    defer { closedir(stream) }
    let known = Set(names + [".", ".."])
    var others: [String] = []
    while let entry = readdir(stream) {
      // SAFETY: the entry is valid until the next readdir, and its name ends with a NUL.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !known.contains(name) { others.append(name) }
    }
    return names + others
  }

  private func place(of path: [String]) -> String {
    ([machine] + path).joined(separator: "/")
  }
}
