/// Why a transport cannot serve: one sentence for people, and what kind of trouble it is.
public struct TransportError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// Something of the machine is missing: a module, a mount.
    case unavailable
    /// We may not do it.
    case notPermitted
    /// A name is taken, or a directory cannot be made.
    case cannotCreate
    /// There is no such program to run.
    case noSuchProgram
    /// There is, and it cannot be run.
    case cannotRun
    /// Another daemon is at work.
    case alreadyRunning
    /// The kernel refused for another reason.
    case system
  }

  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
