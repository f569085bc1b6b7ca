import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Threads
import VFIOCore

/// One open description in the process tree that leads to us.
///
/// In the client it is an empty memory file. Which one, says its inode; whether it is still open
/// anywhere, says a lock that the description holds.
final class OpenFile: Sendable {
  let file: any VFIOFile
  /// The open flags.
  let flags: Int32
  /// Opened by its path, and not handed out by an ioctl on another file.
  let isNode: Bool
  fileprivate let memfile: OwnedFD
  fileprivate let watch: Int32
  fileprivate let key: OpenFiles.Key

  fileprivate init(
    _ file: any VFIOFile, flags: Int32, isNode: Bool, memfile: consuming OwnedFD, watch: Int32,
    key: OpenFiles.Key
  ) {
    self.isNode = isNode
    self.file = file
    self.flags = flags
    self.memfile = memfile
    self.watch = watch
    self.key = key
  }

  var isReadable: Bool { flags & O_ACCMODE != O_WRONLY }
  var isWritable: Bool { flags & O_ACCMODE != O_RDONLY }
}

/// All of them, and how we learn that one is closed.
///
/// inotify tells that a description was closed, before its lock is gone and perhaps once for several:
/// it is the reason to look, the lock is the truth.
final class OpenFiles: Sendable {
  struct Key: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
  }

  private struct State {
    var byKey: [Key: OpenFile] = [:]
    var byWatch: [Int32: OpenFile] = [:]
  }

  /// How often the thread looks at a description that an event named and that holds its lock still.
  private static let patience = 20

  private let state = Mutex(State())
  /// Watches with news, and how often they are still to be looked at. Held while files are released, so
  /// that whoever takes it knows that no release is under way.
  private let doubtful = Mutex<[Int32: Int]>([:])
  private let inotify: OwnedFD
  private let kick: OwnedFD

  init() throws(Errno) {
    inotify = OwnedFD(owning: try cl_inotify().checked())
    kick = OwnedFD(owning: try cl_eventfd().checked())
  }

  /// Starts the thread that notices closes.
  func start() throws(Errno) {
    try Thread.start(name: "closes") { self.notice() }
  }

  // MARK: Looking up

  /// What a descriptor of a client leads to, nil for something else.
  ///
  /// - Throws: `EBADF` when it is not open, or why we may not look.
  func file(_ fd: Int32, of thread: ClientThread) throws(Errno) -> OpenFile? {
    var key = cl_file_key()
    try cl_client_file_key(thread.id, fd, &key).checked()
    return file(Key(device: key.device, inode: key.inode))
  }

  func file(_ key: Key) -> OpenFile? {
    state.withLock { $0.byKey[key] }
  }

  // MARK: Handing out

  /// Gives the caller a descriptor for `file`, or releases it.
  func handOut(
    _ file: any VFIOFile, flags: Int32, isNode: Bool = false, to call: Call
  ) throws(Errno) -> Int32 {
    let (open, description) = try make(file, flags: flags, isNode: isNode)
    defer { _ = cl_close(description) }
    do throws(Errno) {
      let fd = try call.addDescriptor(description, closeOnExec: flags & O_CLOEXEC != 0)
      // Ours is closed before the caller returns, so that its close is the last one.
      return fd
    } catch {
      if forget(open) { open.file.release() }
      throw error
    }
  }

  /// Makes what a client is to have, and a first descriptor of it, for the caller to close.
  private func make(
    _ file: any VFIOFile, flags: Int32, isNode: Bool
  ) throws(Errno) -> (OpenFile, Int32) {
    do throws(Errno) {
      let memfile = OwnedFD(owning: try cl_memfile("vfio-cused").checked())
      var key = cl_file_key()
      try cl_file_key(memfile.rawValue, &key).checked()
      let watch = try cl_inotify_watch(inotify.rawValue, memfile.rawValue).checked()
      let kept = flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)
      let description = try cl_memfile_open(memfile.rawValue, kept).checked()
      let open = OpenFile(
        file, flags: flags, isNode: isNode, memfile: memfile, watch: watch,
        key: Key(device: key.device, inode: key.inode))
      state.withLock {
        $0.byKey[open.key] = open
        $0.byWatch[open.watch] = open
      }
      return (open, description)
    } catch {
      // A watch goes with its file.
      file.release()
      throw error
    }
  }

  /// - Returns: false when somebody else has done so.
  private func forget(_ open: OpenFile) -> Bool {
    let wasKnown = state.withLock { state in
      state.byWatch[open.watch] = nil
      return state.byKey.removeValue(forKey: open.key) != nil
    }
    if wasKnown { _ = cl_inotify_unwatch(inotify.rawValue, open.watch) }
    return wasKnown
  }

  // MARK: Closes

  /// Releases what has been closed: every close that has returned by now.
  func settle() {
    let isDoubtful = doubtful.withLock { doubtful in
      look(&doubtful)
      return !doubtful.isEmpty
    }
    if isDoubtful { _ = cl_eventfd_signal(kick.rawValue) }
  }

  private func look(_ doubtful: inout [Int32: Int]) {
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { watches in
      while true {
        // SAFETY: the C side writes at most `count` numbers into the allocation.
        let n = Int(cl_inotify_read(inotify.rawValue, watches.baseAddress, Int32(watches.count)))
        for watch in watches.prefix(n) {
          if watch >= 0 {
            doubtful[watch] = Self.patience
          } else {
            // Too many events: all are in doubt.
            for watch in state.withLock({ Array($0.byWatch.keys) }) {
              doubtful[watch] = Self.patience
            }
          }
        }
        if n < watches.count { break }
      }
    }
    for watch in doubtful.keys {
      guard let open = state.withLock({ $0.byWatch[watch] }) else {
        doubtful[watch] = nil
        continue
      }
      if cl_memfile_is_open(open.memfile.rawValue) { continue }
      doubtful[watch] = nil
      if forget(open) { open.file.release() }
    }
  }

  private func notice() {
    var isDoubtful = false
    while true {
      let n = cl_wait_either(inotify.rawValue, kick.rawValue, isDoubtful ? 1 : -1)
      if n < 0 { return }
      _ = cl_eventfd_consume(kick.rawValue)
      isDoubtful = doubtful.withLock { doubtful in
        look(&doubtful)
        for watch in doubtful.keys {
          // A description that somebody else opened was closed, or it is about to be.
          doubtful[watch]? -= 1
          if doubtful[watch] == 0 { doubtful[watch] = nil }
        }
        return !doubtful.isEmpty
      }
    }
  }

  /// Releases everything: the process tree is gone.
  func releaseAll() {
    settle()
    for open in state.withLock({ Array($0.byKey.values) }) where forget(open) {
      open.file.release()
    }
  }
}
