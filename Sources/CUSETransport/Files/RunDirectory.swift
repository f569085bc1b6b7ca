import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// `/run/vfio-cused`: the lock that keeps a second daemon out, and where files are mounted.
struct RunDirectory: ~Copyable {
  private let lock: OwnedFD
  /// Where the mount of device and IOMMU files belongs. Short, since its paths travel by a client's stack.
  let files: String

  private init(lock: consuming OwnedFD, files: String) {
    self.lock = lock
    self.files = files
  }

  /// Takes the directory, and clears away what a daemon that was killed has left in it.
  static func take(_ path: String) throws(TransportError) -> RunDirectory {
    let files = path + "/files"
    try Self.makeDirectory(path)
    let lock: OwnedFD
    do {
      lock = try OwnedFD(path: path + "/lock", O_RDWR | O_CREAT, mode: 0o600)
    } catch {
      throw TransportError(.cannotCreate, "cannot make \(path)/lock: \(error)")
    }
    guard cl_try_lock(lock.rawValue) == 0 else {
      throw TransportError(
        .alreadyRunning, "another vfio-cused serve is running: it holds \(path)/lock")
    }
    // The mount outlives its daemon; a stack of them comes from daemons before that.
    for _ in 0..<64 where Self.isMountPoint(files) { cl_detach_mount(files) }
    try Self.makeDirectory(files)
    return RunDirectory(lock: lock, files: files)
  }

  private static func makeDirectory(_ path: String) throws(TransportError) {
    if mkdir(path, 0o755) != 0 && errno != EEXIST {
      throw TransportError(.cannotCreate, "cannot make \(path): \(Errno(rawValue: errno))")
    }
  }

  /// Whether the mount table has `path`. Asking the file itself could wait for a dead daemon.
  private static func isMountPoint(_ path: String) -> Bool {
    guard let table = try? ProcFS.contents("/proc/self/mountinfo") else { return false }
    let wanted = Array(path.utf8)
    return table.split(separator: UInt8(ascii: "\n")).contains { line in
      let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
      return fields.count > 4 && fields[4].elementsEqual(wanted)
    }
  }
}
