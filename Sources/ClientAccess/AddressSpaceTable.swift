import CLinux
import Glibc
import Synchronization
public import SystemPackage

/// Makes "the same address space" mean "the same object".
///
/// Only address spaces that somebody holds are remembered: the owners of groups and what mappings
/// reach. That is a handful, so every one of them is asked.
public final class AddressSpaceTable: Sendable {
  private struct Entry {
    weak var space: ProcessAddressSpace?
  }

  private let entries = Mutex<[Entry]>([])

  public init() {}

  /// The address space of `thread`, a member of thread group `tgid`.
  ///
  /// Where the kernel has no kcmp(2), thread groups stand in for address spaces: threads share,
  /// `CLONE_VM` children do not.
  public func addressSpace(of thread: Int32, tgid: Int32) throws(Errno) -> ProcessAddressSpace {
    let result: Result<ProcessAddressSpace, Errno> = entries.withLock { entries in
      entries.removeAll { $0.space == nil }
      for space in entries.lazy.compactMap(\.space) where Self.shares(space, thread, tgid) {
        return .success(space)
      }
      do throws(Errno) {
        let space = try ProcessAddressSpace(thread: thread, tgid: tgid)
        entries.append(Entry(space: space))
        return .success(space)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private static func shares(_ space: ProcessAddressSpace, _ thread: Int32, _ tgid: Int32) -> Bool {
    if space.tgid == tgid { return space.isStill(memoryOf: thread) }
    return cl_kcmp_vm(space.tgid, thread) == 0 && space.isAlive
  }
}
