import ArgumentParser
import Control
import Glibc
import PluginHost
import Transport
import VFIOCore

/// An error that ends the program with a sentence for whoever started it.
protocol Failure: Error, CustomStringConvertible {
  var exitCode: ExitCode { get }
}

/// Says what went wrong.
///
/// - Returns: what to throw in its place: the exit code, or an error that is none of ours as it is.
func reported(_ error: any Error) -> any Error {
  guard let failure = error as? any Failure else { return error }
  say(failure.description)
  return failure.exitCode
}

extension TransportError: Failure {
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

extension TopologyError: Failure {
  var exitCode: ExitCode {
    access(file, R_OK) == 0 ? Sysexits.dataError : Sysexits.noInput
  }
}

extension PluginError: Failure {
  var exitCode: ExitCode { isMissing ? Sysexits.noInput : Sysexits.dataError }
}

extension BusError: Failure {
  var exitCode: ExitCode { Sysexits.dataError }
}
