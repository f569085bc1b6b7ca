import CLinux
import ClientAccess
import Glibc
import SystemPackage
package import Transport

/// A directory of ours that something is mounted on.
package enum MountPoint {
  /// Makes the directory where it is missing, and clears away what a daemon that was killed has left on it.
  ///
  /// - Parameter type: of the file system that we mount there; others stay.
  package static func prepare(
    _ path: String, for type: String = "fuse.vfio-cused"
  ) throws(TransportError) {
    // The mount outlives its daemon; a stack of them comes from daemons before that.
    for _ in 0..<64 where topmost(at: path) == type { detach(path) }
    if mkdir(path, 0o755) != 0 && errno != EEXIST {
      throw TransportError(.cannotCreate, "cannot make \(path): \(Errno(rawValue: errno))")
    }
  }

  /// Takes the mount out of the tree now; it ends when its last user is gone.
  package static func detach(_ path: String) {
    _ = cl_detach_mount(path)
  }

  /// Shows the directory `source`, and what is mounted in it, at `path` as well; mounts that come or go at
  /// `source` do so here, and never the other way round.
  package static func bind(_ source: String, at path: String) throws(TransportError) {
    let result = cl_bind_tree(source, path)
    if result < 0 {
      throw TransportError(
        .notPermitted, "cannot bind \(source) to \(path): \(Errno(rawValue: -result))")
    }
  }

  /// The type of what is mounted last at `path`, nil for nothing. Asking the file itself could wait for a dead
  /// daemon.
  private static func topmost(at path: String) -> String? {
    guard let table = try? ProcFS.contents("/proc/self/mountinfo") else { return nil }
    let lines = table.split(separator: UInt8(ascii: "\n")).map { line in
      line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    }
    // proc(5): the mount point is the fifth field, the type comes after a lone hyphen.
    guard let fields = lines.last(where: { $0.count > 4 && $0[4] == path }),
      let hyphen = fields.firstIndex(of: "-"), hyphen + 1 < fields.count
    else { return nil }
    return fields[hyphen + 1]
  }
}
