import Logging
import SystemPackage

/// Makes sense of what callbacks return; what makes none is logged and becomes `EIO`.
struct PluginAnswers: Sendable {
  let logger: Logger

  /// The highest number that Linux has for an error.
  private static let errnos: ClosedRange<Int> = 1...133

  /// 0 or an error.
  func checkZero(_ result: Int32, _ callback: String) throws(Errno) {
    _ = try count(Int(result), upTo: 0, callback)
  }

  /// 0 to `limit`, or an error.
  func count(_ result: Int, upTo limit: Int, _ callback: String) throws(Errno) -> Int {
    if (0...limit).contains(result) { return result }
    if result < 0, result >= -Self.errnos.upperBound { throw Errno(rawValue: Int32(-result)) }
    logger.error(
      "the plug-in's \(callback) returned \(result), which is neither 0 to \(limit) nor an errno")
    throw .ioError
  }
}
