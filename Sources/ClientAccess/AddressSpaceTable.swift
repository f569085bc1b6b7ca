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

  private let isOneTree: Bool
  private let isDevice: @Sendable (VMA) -> Bool

  /// - Parameters:
  ///   - isOneTree: all clients belong to whoever runs us, and no exec gives them more rights than they have
  ///     (`PR_SET_NO_NEW_PRIVS`).
  ///   - isDevice: whether a mapping is of a device's registers, which are there though it has no pages.
  public init(isOneTree: Bool = false, isDevice: @escaping @Sendable (VMA) -> Bool = { _ in false })
  {
    self.isOneTree = isOneTree
    self.isDevice = isDevice
  }

  /// The address space of `thread`, which is in a call that we answer.
  ///
  /// Where the kernel has no kcmp(2), thread groups stand in for address spaces: threads share,
  /// `CLONE_VM` children do not.
  /// - Throws: `ESRCH` for a thread that is gone, `EPERM` or `EACCES` without the right to examine it.
  public func addressSpace(of thread: Int32) throws(Errno) -> ProcessAddressSpace {
    if let known = known.first(where: { $0.isKnown(of: thread) }) { return known }
    // Looked at and compared with no lock held: an exec of the caller that hangs makes either hang.
    let mine = try ProcessAddressSpace(
      thread: thread, tgid: try ProcFS.status(of: thread).tgid, isExecHarmless: isOneTree,
      isDevice: isDevice)
    while true {
      let known = known
      if let same = known.first(where: { mine.isSame(as: $0, thread: thread) }) { return same }
      let isAdded = entries.withLock { entries in
        // Somebody else's, added meanwhile, might be the same.
        let now = entries.compactMap(\.space)
        guard now.allSatisfy({ space in known.contains { $0 === space } }) else { return false }
        entries.append(Entry(space: mine))
        return true
      }
      if isAdded { return mine }
    }
  }

  /// The same, for a thread of which its transport tells which it is.
  public func addressSpace(of thread: ClientThread) throws(Errno) -> ProcessAddressSpace {
    let space = try addressSpace(of: thread.id)
    space.note(thread)
    return space
  }

  /// The address space that `thread` had when it last asked, where its `read` can tell whether it has it still.
  public func last(of thread: ClientThread) -> ProcessAddressSpace? {
    if thread.incarnation == 0 { return nil }
    return entries.withLock { entries in
      // An exec made the later one.
      for entry in entries.reversed() {
        if let space = entry.space, space.isLast(thread) { return space }
      }
      return nil
    }
  }

  private var known: [ProcessAddressSpace] {
    entries.withLock { entries in
      entries.removeAll { $0.space == nil }
      return entries.compactMap(\.space)
    }
  }
}
