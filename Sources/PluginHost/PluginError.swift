/// Why a plug-in cannot be used: one sentence without a full stop, with its file.
public struct PluginError: Error, Hashable, Sendable, CustomStringConvertible {
  public var file: String
  public var problem: String
  /// There is no such file, as opposed to one that is no good.
  public var isMissing = false

  public var description: String { "plug-in \(file): \(problem)" }
}
