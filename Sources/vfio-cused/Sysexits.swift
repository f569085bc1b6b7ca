import ArgumentParser
import Transport

/// The exit codes of sysexits.h that we use.
enum Sysexits {
  static let dataError = ExitCode(65)
  static let noInput = ExitCode(66)
  static let unavailable = ExitCode(69)
  static let osError = ExitCode(71)
  static let cannotCreate = ExitCode(73)
  static let temporaryFailure = ExitCode(75)
  static let notPermitted = ExitCode(77)
}

extension TransportError {
  var exitCode: ExitCode {
    switch kind {
    case .unavailable: Sysexits.unavailable
    case .notPermitted: Sysexits.notPermitted
    case .cannotCreate: Sysexits.cannotCreate
    case .alreadyRunning: Sysexits.temporaryFailure
    case .noSuchProgram: ExitCode(127)
    case .cannotRun: ExitCode(126)
    case .system: Sysexits.osError
    }
  }
}
