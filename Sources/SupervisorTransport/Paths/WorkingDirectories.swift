import CLinux
import ClientAccess
import Logging
import SystemPackage

/// Changes the working directory of a caller to one that only we can open.
///
/// The caller's own thread has to do that: it gets a copy of the descriptor, and between the return of its
/// chdir(2) and its next instruction it is made to call fchdir(2) and close(2).
struct WorkingDirectories: Sendable {
  /// How long a client may take over calls of a few microseconds before it is killed.
  private static let deadline = Duration.seconds(10)

  /// The thread that sees stops of clients: tracing is for one thread alone.
  let watch: ChildWatch
  let logger: Logger

  /// Ends the call: the caller is in `directory` then.
  func change(_ call: Call, to directory: consuming OwnedFD) {
    let fd = directory.relinquish()
    watch.perform { change(call, OwnedFD(owning: fd)) }
  }

  private func change(_ call: Call, _ directory: consuming OwnedFD) {
    let seized: SeizedThread
    do throws(TracingFailure) {
      seized = try SeizedThread.seize(call.thread.id, as: .ancestor)
    } catch {
      logger.warning(
        "cannot change the working directory of a client: \(error.sentence)",
        metadata: ["pid": "\(call.thread.id)", "errno": "\(error.errno)"])
      return call.fail(error.errno)
    }
    let copy: Result<Int32, Errno>
    do throws(Errno) {
      copy = .success(try call.addDescriptor(directory.rawValue, closeOnExec: true))
    } catch {
      copy = .failure(error)
    }
    call.answer(Int64(SeizedThread.placeholder))
    guard var stopped = seized.stopped(deadline: Self.deadline) else { return }
    var result: Int64
    do throws(TracingFailure) {
      try stopped.prepare(after: .chdir)
      switch copy {
      case .failure(let error): result = -Int64(error.rawValue)
      case .success(let fd):
        guard let changed = stopped.call(CL_SYS_fchdir, UInt64(fd)),
          stopped.call(CL_SYS_close, UInt64(fd)) != nil
        else { return }
        result = changed
      }
    } catch {
      result = -Int64(error.errno.rawValue)
    }
    _ = stopped.resume(returning: result)
  }
}
