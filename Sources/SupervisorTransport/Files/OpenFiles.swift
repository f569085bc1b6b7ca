import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Threads
import VFIOCore

/// One open description in the process tree that leads to us.
///
/// In the client it is a memory file: which one, says its inode, and whether it is still open anywhere, a
/// lock that the description holds.
final class OpenFile: Sendable {
  let file: any VFIOFile
  /// The open flags.
  let flags: Int32
  /// By what path it was opened; nil where an ioctl on another file handed it out.
  let path: String?
  /// The file position, in bytes. The kernel's own stays at `place`, where there is nothing to read: what it
  /// carries out without asking us gives no data, rather than wrong one.
  let position = Mutex<UInt64>(0)
  /// Where the lock is: a number of its own for each description.
  fileprivate let place: Int64
  fileprivate let key: OpenFiles.Key
  /// The description itself, and each mapping of registers that came of it.
  private let holders = Mutex(1)

  fileprivate init(
    _ file: any VFIOFile, flags: Int32, path: String?, place: Int64, key: OpenFiles.Key
  ) {
    self.path = path
    self.file = file
    self.flags = flags
    self.place = place
    self.key = key
  }

  /// Keeps the file from being released, until `drop`.
  ///
  /// - Throws: `EBADF` where it has been: the client has closed its last descriptor.
  func hold() throws(Errno) {
    let isOpen = holders.withLock { count in
      if count > 0 { count += 1 }
      return count > 0
    }
    if !isOpen { throw .badFileDescriptor }
  }

  func drop() {
    let isLast = holders.withLock { count in
      count -= 1
      return count == 0
    }
    if isLast { file.release() }
  }

  var isReadable: Bool { flags & O_ACCMODE != O_WRONLY }
  var isWritable: Bool { flags & O_ACCMODE != O_RDONLY }
}

/// All of them, and how we learn that one is closed.
///
/// inotify tells that a description was closed, before its lock is gone and perhaps once for several:
/// it is the reason to look, the lock is the truth. What a client has mapped keeps the description.
final class OpenFiles: Sendable {
  struct Key: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
  }

  /// A memory file that clients have open.
  private struct Standin {
    let descriptor: Int32
    /// Keeps the descriptor open.
    let owner: any AnyObject & Sendable
    let watch: Int32
    /// One, but of memory that all who have its device open share.
    var opens: [OpenFile] = []
  }

  /// An empty memory file, for what cannot be mapped.
  private final class EmptyFile: Sendable {
    let fd: OwnedFD

    init() throws(Errno) {
      fd = OwnedFD(owning: try cl_memfile("vfio-cused").checked())
    }
  }

  private struct State {
    var byKey: [Key: Standin] = [:]
    var byWatch: [Int32: Key] = [:]
    /// Far from where a client would lock anything, and past the end of all memory files.
    var nextPlace: Int64 = 1 << 61
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

  /// Whether no client has anything of ours open, as is so in programs that have nothing to do with VFIO.
  var isEmpty: Bool { state.withLock { $0.byKey.isEmpty } }

  /// What a descriptor of a client leads to, nil for something else.
  ///
  /// - Throws: `EBADF` when it is not open, or why we may not look.
  func file(_ fd: Int32, of thread: ClientThread) throws(Errno) -> OpenFile? {
    var thread = thread
    return try file(fd, of: &thread)
  }

  /// The same, and says which thread it is.
  func file(_ fd: Int32, of thread: inout ClientThread) throws(Errno) -> OpenFile? {
    var key = cl_file_key()
    try cl_client_file_key(thread.id, fd, &key, &thread.incarnation).checked()
    let opens = opens(Key(device: key.device, inode: key.inode))
    if opens.count < 2 { return opens.first }
    let place = try ProcFS.position(of: thread.id, fd: fd)
    return opens.first { UInt64($0.place) == place } ?? opens.first
  }

  /// What a memory file stands for; one of several that are the same device.
  func file(_ key: Key) -> OpenFile? { opens(key).first }

  private func opens(_ key: Key) -> [OpenFile] {
    state.withLock { $0.byKey[key]?.opens ?? [] }
  }

  // MARK: Handing out

  /// Gives the caller a descriptor for `file`, or releases it.
  func handOut(
    _ file: any VFIOFile, flags: Int32, path: String? = nil, to call: Call
  ) throws(Errno) -> Int32 {
    let (open, description) = try make(file, flags: flags, path: path)
    defer { _ = cl_close(description) }
    do throws(Errno) {
      let fd = try call.addDescriptor(description, closeOnExec: flags & O_CLOEXEC != 0)
      // Ours is closed before the caller returns, so that its close is the last one.
      return fd
    } catch {
      if forget(open) { open.drop() }
      throw error
    }
  }

  /// Makes what a client is to have, and a first descriptor of it, for the caller to close.
  private func make(
    _ file: any VFIOFile, flags: Int32, path: String?
  ) throws(Errno) -> (OpenFile, Int32) {
    let made: Result<(OpenFile, Int32), Errno> = state.withLock { state in
      do throws(Errno) {
        let (key, standin) = try standin(for: file, &state)
        let place = state.nextPlace
        state.nextPlace += 1
        let kept = flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)
        let description = try cl_memfile_open(standin.descriptor, kept, place).checked()
        let open = OpenFile(file, flags: flags, path: path, place: place, key: key)
        state.byKey[key, default: standin].opens.append(open)
        state.byWatch[standin.watch] = key
        return .success((open, description))
      } catch {
        return .failure(error)
      }
    }
    // A watch without an open file goes with its inode, or is there for the next one.
    if case .failure = made { file.release() }
    return try made.get()
  }

  private func standin(
    for file: any VFIOFile, _ state: inout State
  ) throws(Errno) -> (Key, Standin) {
    let descriptor: Int32
    let owner: any AnyObject & Sendable
    if let memory = file.memory {
      (descriptor, owner) = (memory.descriptor, memory)
    } else {
      let empty = try EmptyFile()
      (descriptor, owner) = (empty.fd.rawValue, empty)
    }
    var c = cl_file_key()
    try cl_file_key(descriptor, &c).checked()
    let key = Key(device: c.device, inode: c.inode)
    if let known = state.byKey[key] { return (key, known) }
    let watch = try cl_inotify_watch(inotify.rawValue, descriptor).checked()
    return (key, Standin(descriptor: descriptor, owner: owner, watch: watch))
  }

  /// - Returns: false when somebody else has done so.
  private func forget(_ open: OpenFile) -> Bool {
    state.withLock { state in
      guard var standin = state.byKey[open.key],
        let index = standin.opens.firstIndex(where: { $0 === open })
      else { return false }
      standin.opens.remove(at: index)
      if standin.opens.isEmpty {
        state.byKey[open.key] = nil
        state.byWatch[standin.watch] = nil
        _ = cl_inotify_unwatch(inotify.rawValue, standin.watch)
      } else {
        state.byKey[open.key] = standin
      }
      return true
    }
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
      let standin = state.withLock { state in state.byWatch[watch].flatMap { state.byKey[$0] } }
      guard let standin else {
        doubtful[watch] = nil
        continue
      }
      for open in standin.opens where !cl_memfile_is_open(standin.descriptor, open.place) {
        // There may be news of others of the same file.
        if standin.opens.count == 1 { doubtful[watch] = nil }
        if forget(open) { open.drop() }
      }
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
    let left = state.withLock { $0.byKey.values.flatMap(\.opens) }
    for open in left where forget(open) {
      open.drop()
    }
  }
}
