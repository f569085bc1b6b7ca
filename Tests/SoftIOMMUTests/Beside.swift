import Testing
import Threads

/// Runs something on a thread of its own. Dispatch starts none while tests keep as many busy as there are
/// processors.
func beside(_ run: @escaping @Sendable () -> Void) {
  do { try Thread.start(name: "test", run) } catch { Issue.record(error) }
}
