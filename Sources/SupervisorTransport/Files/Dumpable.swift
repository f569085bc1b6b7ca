import ClientAccess
import Glibc
import Synchronization
import SystemPackage

/// Processes that made themselves undumpable, as they believe: nobody could look into them then, and
/// we have to.
final class Dumpable: Sendable {
  private static let getDumpable: UInt64 = 3
  private static let setDumpable: UInt64 = 4

  /// The auxiliary vector tells a program from the next one that its process runs.
  private let processes = Mutex<[Int32: [UInt8]]>([:])

  func prctl(_ call: Call) {
    guard let tgid = try? ProcFS.status(of: call.thread.id).tgid,
      let program = try? ProcFS.contents("/proc/\(tgid)/auxv")
    else { return call.proceed() }
    switch (call.argument0, call.argument1) {
    case (Self.setDumpable, 0):
      processes.withLock { processes in
        if processes.count >= 4096 { processes.removeAll() }
        processes[tgid] = program
      }
      call.answer(0)
    case (Self.setDumpable, 1):
      processes.withLock { $0[tgid] = nil }
      call.proceed()
    case (Self.getDumpable, _):
      if processes.withLock({ $0[tgid] == program }) { call.answer(0) } else { call.proceed() }
    default:
      call.proceed()
    }
  }
}
