/// The wait of devices for their groups to fall out of use, after which vfio lets go of them.
public struct UnbindWait: Sendable {
  private let giveUp: (@Sendable () -> Bool)?

  /// Nothing to wait for.
  init() {
    giveUp = nil
  }

  /// - Parameter giveUp: false when there was nothing to wait for any more.
  init(_ giveUp: @escaping @Sendable () -> Bool) {
    self.giveUp = giveUp
  }

  /// Several at once.
  init(_ waits: [UnbindWait], onCancel: @escaping @Sendable () -> Void) {
    giveUp = {
      let isAny = waits.reduce(false) { $1.cancel() || $0 }
      if isAny { onCancel() }
      return isAny
    }
  }

  /// Gives up waiting: vfio keeps the devices, and a removal is forgotten.
  ///
  /// - Returns: false when there was nothing to wait for any more. The completion has been called then, or is
  ///   about to be; else it will not be called.
  @discardableResult
  public func cancel() -> Bool {
    giveUp?() ?? false
  }
}
