import ClientAccess
import SystemPackage

/// chown and chmod.
extension PathCalls {
  func chown(_ call: Call, followsLast: Bool) {
    chown(
      call, call.argument0, directory: Self.workingDirectory, call.argument1, call.argument2,
      followsLast: followsLast)
  }

  func fchownat(_ call: Call) {
    chown(
      call, call.argument1, directory: call.argument0, call.argument2, call.argument3,
      followsLast: Call.int(call.argument4) & atSymlinkNoFollow == 0)
  }

  private func chown(
    _ call: Call, _ path: UInt64, directory: UInt64, _ user: UInt64, _ group: UInt64,
    followsLast: Bool
  ) {
    change(call, path, directory: directory, followsLast: followsLast) {
      (path, caller) throws(Errno) in
      try owners.chown(
        path, UInt32(truncatingIfNeeded: user), UInt32(truncatingIfNeeded: group), by: caller)
    }
  }

  func chmod(_ call: Call) {
    chmod(call, call.argument0, directory: Self.workingDirectory, call.argument1)
  }

  func fchmodat(_ call: Call) {
    chmod(call, call.argument1, directory: call.argument0, call.argument2)
  }

  private func chmod(_ call: Call, _ path: UInt64, directory: UInt64, _ mode: UInt64) {
    change(call, path, directory: directory, followsLast: true) { (path, caller) throws(Errno) in
      try owners.chmod(path, UInt32(truncatingIfNeeded: mode), by: caller)
    }
  }

  private func change(
    _ call: Call, _ path: UInt64, directory: UInt64, followsLast: Bool,
    _ body: (String, Credentials) throws(Errno) -> Void
  ) {
    do throws(Errno) {
      switch try resolve(call, path, directory: directory, followsLast: followsLast) {
      case nil, .untouched: call.proceed()
      case .node(let path, _):
        try body(path, Credentials(of: call.thread))
        call.answer(0)
      case .real: throw .notPermitted
      }
    } catch {
      call.fail(error)
    }
  }
}
