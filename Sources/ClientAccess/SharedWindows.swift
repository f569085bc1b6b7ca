import CLinux
import Glibc
import Synchronization
import SystemPackage
import Threads

/// The windows onto one address space, each found once.
///
/// A thread looks after them for as long as there are any, so that they expire when the client has put
/// something else there. It is one for each client, for a client can make it wait.
final class SharedWindows: Sendable {
  /// How long a window may show what the client has replaced, in milliseconds.
  static let interval: UInt32 = 20
  /// A client cannot fill our address space, nor our table of mappings.
  static let limit = 4096
  static let sizeLimit: UInt64 = 1 << 40

  private enum Entry {
    case shown(WeakWindow)
    /// There is no way to it.
    case refused

    var window: SharedWindow? {
      if case .shown(let entry) = self, let window = entry.window, !window.isStale {
        window
      } else {
        nil
      }
    }
  }

  private struct WeakWindow {
    weak var window: SharedWindow?
  }

  private struct State {
    var entries: [VMA: Entry] = [:]
    var isWatched = false
  }

  private let tgid: Int32
  private let state = Mutex(State())

  init(tgid: Int32) {
    self.tgid = tgid
  }

  /// The window that shows `vma`, nil where it cannot be shown.
  ///
  /// - Parameter maps: tells what the client has there later.
  func window(_ vma: VMA, maps: MemoryMap) -> SharedWindow? {
    guard vma.isShared, vma.isReadable, vma.inode != 0, vma.size <= Self.sizeLimit else {
      return nil
    }
    let (known, isFull) = state.withLock { state -> (SharedWindow??, Bool) in
      switch state.entries[vma] {
      case .refused: return (.some(nil), false)
      case .some(let entry): if let window = entry.window { return (.some(window), false) }
      case nil: break
      }
      state.entries = state.entries.filter { $0.value.window != nil }
      let size = state.entries.keys.reduce(0) { $0 + $1.size }
      return (nil, state.entries.count >= Self.limit || size + vma.size > Self.sizeLimit)
    }
    if let known { return known }
    if isFull { return nil }
    // With no lock held: a client can make it wait.
    var window: SharedWindow?
    if let file = file(of: vma) { window = try? SharedWindow(vma, fd: file.rawValue) }
    let mustWatch = state.withLock { [window] state in
      guard let window else {
        state.entries[vma] = .refused
        return false
      }
      state.entries[vma] = .shown(WeakWindow(window: window))
      defer { state.isWatched = true }
      return !state.isWatched
    }
    if mustWatch { watch(maps) }
    return window
  }

  private func watch(_ maps: MemoryMap) {
    do throws(Errno) {
      try Thread.start(name: "windows") { [self] in
        repeat { cl_sleep_ms(Self.interval) } while refresh(maps)
      }
    } catch {
      state.withLock { state in
        state.isWatched = false
        for entry in state.entries.values { entry.window?.expire() }
      }
    }
  }

  /// Asks after every window once.
  ///
  /// - Returns: false when there is none left.
  private func refresh(_ maps: MemoryMap) -> Bool {
    let live = state.withLock { state in
      let live = state.entries.compactMap { vma, entry in entry.window.map { (vma, $0) } }
      state.isWatched = !live.isEmpty
      return live
    }
    for (vma, window) in live where !maps.stillHas(vma) { window.expire() }
    return !live.isEmpty
  }

  /// The file behind the mapping: through the mapping itself, which takes root; a descriptor of the
  /// client's; or one of ours, where it is the memory of a device.
  private func file(of vma: VMA) -> OwnedFD? {
    func held(by pid: Int32) -> Int32 {
      cl_vma_open_held(pid, vma.deviceMajor, vma.deviceMinor, vma.inode, vma.isWritable)
    }
    for attempt in 0..<3 {
      let fd =
        switch attempt {
        case 0: cl_vma_open_mapped(tgid, vma.start, vma.end, vma.isWritable)
        case 1: held(by: tgid)
        default: held(by: getpid())
        }
      guard fd >= 0 else { continue }
      let file = OwnedFD(owning: fd)
      if cl_vma_is_memory_file(fd, vma.deviceMajor, vma.deviceMinor, vma.inode) { return file }
    }
    return nil
  }
}

extension MemoryMap {
  /// Whether the same pages of the same file are at the mapping's addresses, with the same rights.
  func stillHas(_ vma: VMA) -> Bool {
    var isSame = true
    let range = ClientAddress(vma.start)..<ClientAddress(vma.end)
    let end = try? end(of: range, writable: vma.isWritable) { now in
      isSame =
        isSame && now.isShared && now.inode == vma.inode && now.deviceMajor == vma.deviceMajor
        && now.deviceMinor == vma.deviceMinor && now.offset &- now.start == vma.offset &- vma.start
    }
    return isSame && end == range.upperBound
  }
}
