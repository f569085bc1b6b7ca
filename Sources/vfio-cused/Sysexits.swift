import ArgumentParser

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
