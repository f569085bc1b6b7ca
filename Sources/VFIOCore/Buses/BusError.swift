public import SystemPackage

/// Why a bus did not do what was asked: an errno for programs and a sentence for people.
public struct BusError: Error, Hashable, Sendable, CustomStringConvertible {
  public var errno: Errno
  public var description: String

  init(_ errno: Errno, _ sentence: String) {
    self.errno = errno
    self.description = sentence
  }
}
