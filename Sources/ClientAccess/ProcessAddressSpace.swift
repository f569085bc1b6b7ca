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
  private let mem: OwnedFD
  private let maps: OwnedFD
  private let auxiliaryVector: [UInt8]
  private let locked = Mutex<UInt64>(0)

  /// - Throws: `ESRCH` for a thread that is gone, `EPERM` or `EACCES` without the right to examine it.
  init(thread: Int32, tgid: Int32) throws(Errno) {
    self.tgid = tgid
    mem = try OwnedFD(path: "/proc/\(thread)/mem", O_RDWR)
    // Of the group, not the thread: `maps` can be read for as long as its task is there.
    maps = try OwnedFD(path: "/proc/\(tgid)/maps", O_RDONLY)
    auxiliaryVector = try ProcFS.contents("/proc/\(thread)/auxv")
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

  public func mappedEnd(
    of range: Range<ClientAddress>, writable: Bool
  ) throws(Errno) -> ClientAddress {
    let map: MemoryMap
    do { map = MemoryMap(text: try ProcFS.contents(maps.rawValue)) } catch { throw .badAddress }
    return map.end(of: range, writable: writable)
  }

  public func lock(_ bytes: UInt64, limit: UInt64) throws(Errno) {
    let fits = locked.withLock { locked in
      let (sum, overflow) = locked.addingReportingOverflow(bytes)
      if overflow || sum > limit { return false }
      locked = sum
      return true
    }
    if !fits { throw .noMemory }
  }

  public func unlock(_ bytes: UInt64) {
    locked.withLock { $0 -= min($0, bytes) }
  }
}
