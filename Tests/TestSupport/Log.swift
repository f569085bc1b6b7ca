import Synchronization

/// What happened, in order, from any thread.
public final class Log: Sendable {
  private let list = Mutex<[String]>([])

  public init() {}

  public func add(_ entry: String) {
    list.withLock { $0.append(entry) }
  }

  public var entries: [String] { list.withLock { $0 } }
}
