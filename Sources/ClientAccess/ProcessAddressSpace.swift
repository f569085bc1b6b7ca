import CLinux
import Glibc
import Synchronization
public import SystemPackage

/// The address space of a process, held without keeping it alive.
///
/// `/proc/<pid>/mem` and `maps` stay bound to the memory they were opened on: after an exec or an exit
/// they reach nobody else's, whoever has the pid by then (fs/proc/base.c, `mem_open`).
public final class ProcessAddressSpace: AddressSpace {
  /// A thread group that had this memory when we first saw it.
  let tgid: Int32
  let mem: OwnedFD
  private let maps: MemoryMap
  private let windows: SharedWindows
  private let auxiliaryVector: AuxiliaryVector
  private let mark: Mark?
  /// The incarnation of the thread that was last seen to have it.
  private let lastThread = Atomic<UInt64>(0)
  /// The process behind `tgid`; no descriptor, and so never there, where the kernel has no pidfds.
  private let process: OwnedFD
  private let isDevice: @Sendable (VMA) -> Bool
  private let locked = Atomic<UInt64>(0)
  /// Whether a process of the thread group's number can be reached by that number: whatever program it
  /// runs by then, it has no rights that the one before had not.
  let isExecHarmless: Bool
  /// When the memory was last seen alive, in nanoseconds of the monotonic clock.
  let seenAlive = Atomic<UInt64>(0)

  /// - Throws: `ESRCH` for a thread that is gone, `EPERM` or `EACCES` without the right to examine it.
  init(
    thread: Int32, tgid: Int32, isExecHarmless: Bool = false,
    isDevice: @escaping @Sendable (VMA) -> Bool = { _ in false }
  ) throws(Errno) {
    self.isDevice = isDevice
    self.tgid = tgid
    self.isExecHarmless = isExecHarmless
    windows = SharedWindows(tgid: tgid)
    mem = try OwnedFD(path: "/proc/\(thread)/mem", O_RDWR)
    // Of the group, not the thread: `maps` can be read for as long as its task is there.
    maps = try MemoryMap(pid: tgid)
    let auxiliaryVector = try AuxiliaryVector(of: thread)
    self.auxiliaryVector = auxiliaryVector
    mark = isExecHarmless ? Mark(auxiliaryVector.randomBytes, of: thread) : nil
    process = OwnedFD(owning: cl_pidfd_open(tgid))
  }

  /// Whether any process still uses the memory.
  var isAlive: Bool {
    var byte: UInt8 = 0
    // SAFETY: one byte into a local. Page 0 is not mapped: EIO while there is memory, 0 after.
    return pread(mem.rawValue, &byte, 1, 0) != 0
  }

  /// Whether this memory, just taken from `thread`, is the one that `other` has held for longer.
  ///
  /// The auxiliary vector belongs to the memory and has addresses in it that are drawn at each exec, so that
  /// strangers differ there. Only fork children are left to be told apart by kcmp(2), which can hang when
  /// the other process does in an exec.
  func isSame(as other: ProcessAddressSpace, thread: Int32) -> Bool {
    guard auxiliaryVector == other.auxiliaryVector, other.isAlive else { return false }
    return tgid == other.tgid || cl_kcmp_vm(other.tgid, thread) == 0
  }

  /// Whether `thread`, which is in a call that we answer, certainly has this memory: a few system calls,
  /// none of which a client can make wait.
  ///
  /// A thread of the process that had it has it still, until the process makes an exec; see `isSame`.
  func isKnown(of thread: Int32) -> Bool {
    cl_thread_is(thread, in: tgid) && cl_pidfd_is_there(process.rawValue) && isAlive
      && (try? AuxiliaryVector(of: thread)) == auxiliaryVector
  }

  /// Whether `thread` is the one that was last seen to have this memory, and `read` can tell whether it has it
  /// still.
  func isLast(_ thread: ClientThread) -> Bool {
    mark != nil && thread.incarnation != 0
      && lastThread.load(ordering: .relaxed) == thread.incarnation
  }

  func note(_ thread: ClientThread) {
    lastThread.store(thread.incarnation, ordering: .relaxed)
  }

  /// Copies from the memory of `thread`, which `isLast`, and looks whether it is this one.
  ///
  /// Only an exec could have given the thread another, and that has other random bytes. A program can forge
  /// them, and so pass for the one that it was: harmless in one tree, where it has the same rights.
  ///
  /// - Throws: as `ClientThread.read`.
  public func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer, of thread: ClientThread
  ) throws(Errno) -> Bool {
    guard let mark, !buffer.isEmpty else {
      try thread.read(address, into: buffer)
      return false
    }
    var now = (UInt64(0), UInt64(0))
    // SAFETY: the kernel writes at most `buffer.count` bytes into the caller's buffer, and 16 into the local.
    let n = withUnsafeMutableBytes(of: &now) { bytes in
      cl_process_vm_read_two(
        thread.id, buffer.baseAddress, address.rawValue, buffer.count, bytes.baseAddress,
        mark.address.rawValue, bytes.count)
    }
    if try n.checked() < buffer.count { throw .badAddress }
    return n == buffer.count + 16 && now == mark.bytes
  }

  /// Where 16 random bytes of the program are, and which.
  private struct Mark {
    let address: ClientAddress
    let bytes: (UInt64, UInt64)

    init?(_ address: ClientAddress?, of thread: Int32) {
      var bytes = (UInt64(0), UInt64(0))
      let isRead: Void? = withUnsafeMutableBytes(of: &bytes) { buffer in
        // SAFETY: the local's own 16 bytes, of which any pattern is a value.
        address.flatMap { try? ClientThread(id: thread).read($0, into: buffer) }
      }
      guard let address, isRead != nil else { return nil }
      self.address = address
      self.bytes = bytes
    }
  }

  public func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    guard let offset = off_t(exactly: address.rawValue) else { throw .badAddress }
    // SAFETY: pread writes at most `buffer.count` bytes into the caller's buffer.
    let n = pread(mem.rawValue, buffer.baseAddress, buffer.count, offset)
    if n != buffer.count { throw .badAddress }
  }

  public func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    guard let offset = off_t(exactly: address.rawValue) else { throw .badAddress }
    // SAFETY: pwrite reads `buffer.count` bytes from the caller's buffer.
    let n = pwrite(mem.rawValue, buffer.baseAddress, buffer.count, offset)
    if n != buffer.count { throw .badAddress }
  }

  /// A range that touches more mappings of devices' memory counts as the client's own: each mapping in a domain
  /// keeps them.
  private static let deviceLimit = 64

  public func mapped(
    _ range: Range<ClientAddress>, writable: Bool
  ) throws(Errno) -> MappedExtent {
    var whole: VMA?
    var hole: ClientAddress?
    var devices: [Range<ClientAddress>] = []
    let end: ClientAddress
    do throws(Errno) {
      end = try maps.end(of: range, writable: writable) { vma in
        if vma.start <= range.lowerBound.rawValue, vma.end >= range.upperBound.rawValue {
          whole = vma
        }
        guard hole == nil, vma.inode != 0 else { return }
        if isDevice(vma) {
          devices.add(found: ClientAddress(vma.start)..<ClientAddress(vma.end))
        } else {
          hole = firstBeyondFile(vma, range)
        }
      }
    } catch {
      throw .badAddress
    }
    if devices.count > Self.deviceLimit { devices = [] }
    if let hole { return MappedExtent(end: min(hole, end), devices: devices) }
    return MappedExtent(
      end: end, window: whole.flatMap { windows.window($0, maps: maps) }, devices: devices)
  }

  /// A file's mapping may reach beyond the file's end, where there are no pages.
  ///
  /// One look at the last page tells; only where that fails, the first such page is searched for.
  private func firstBeyondFile(_ vma: VMA, _ range: Range<ClientAddress>) -> ClientAddress? {
    let pageSize: UInt64 = 4096
    var good = max(vma.start, range.lowerBound.rawValue) / pageSize
    var bad = (min(vma.end, range.upperBound.rawValue) - 1) / pageSize
    if isThere(bad * pageSize) { return nil }
    if !isThere(good * pageSize) { return ClientAddress(good * pageSize) }
    while bad - good > 1 {
      let middle = good + (bad - good) / 2
      if isThere(middle * pageSize) { good = middle } else { bad = middle }
    }
    return ClientAddress(bad * pageSize)
  }

  private func isThere(_ address: UInt64) -> Bool {
    var byte: UInt8 = 0
    // SAFETY: one byte into a local.
    return pread(mem.rawValue, &byte, 1, off_t(bitPattern: address)) == 1
  }

  public func lock(_ bytes: UInt64, limit: UInt64) throws(Errno) {
    var now = locked.load(ordering: .relaxed)
    while true {
      let (sum, overflow) = now.addingReportingOverflow(bytes)
      if overflow || sum > limit { throw .noMemory }
      let (isDone, found) = locked.weakCompareExchange(
        expected: now, desired: sum, ordering: .relaxed)
      if isDone { return }
      now = found
    }
  }

  public func unlock(_ bytes: UInt64) {
    locked.wrappingSubtract(bytes, ordering: .relaxed)
  }
}

extension off_t {
  fileprivate init(bitPattern address: UInt64) { self = off_t(Int64(bitPattern: address)) }
}
