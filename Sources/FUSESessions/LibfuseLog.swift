import CFuse3
import Glibc
package import Logging
import Synchronization

/// libfuse's own messages, in our log.
package enum LibfuseLog {
  private static let logger = Mutex<Logger?>(nil)

  package static func forward(to logger: Logger) {
    self.logger.withLock { $0 = logger }
    fuse_set_log_func { _, format, arguments in
      guard let format, let arguments else { return }
      var text = [CChar](repeating: 0, count: 512)
      // SAFETY: at most `text.count` bytes, NUL included; libfuse's own format and arguments.
      vsnprintf(&text, text.count, format, arguments)
      let end = text.firstIndex(of: 0) ?? text.endIndex
      let message = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      LibfuseLog.logger.withLock { $0 }?.info(
        "libfuse: \(message.split(separator: "\n").joined(separator: " "))")
    }
  }
}
