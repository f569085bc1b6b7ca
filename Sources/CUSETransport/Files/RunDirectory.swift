import CLinux
import ClientAccess
import FUSESessions
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
    if mkdir(path, 0o755) != 0 && errno != EEXIST {
      throw TransportError(.cannotCreate, "cannot make \(path): \(Errno(rawValue: errno))")
    }
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
    try MountPoint.prepare(files)
    return RunDirectory(lock: lock, files: files)
  }
}
