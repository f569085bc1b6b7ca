/// A device's way to memory for work of several accesses, which may end before it is done: by a reset, or because
/// the client has gone.
///
/// A client can make an access to its memory last until somebody else has the device. What comes after it would
/// reach the memory of that one, at addresses of the first one's choice.
public final class DMATransfer: DMAPort {
  private let port: any DMAPort
  private let isOver: @Sendable () -> Bool

  /// - Parameter isOver: asked before each access; from then on all of them fault.
  public init(_ port: any DMAPort, isOver: @escaping @Sendable () -> Bool) {
    self.port = port
    self.isOver = isOver
  }

  public func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    guard isOver() else { return port.read(iova, into: buffer) }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return DMAFault(iova: iova, cause: .ended)
  }

  public func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    isOver() ? DMAFault(iova: iova, cause: .ended) : port.write(iova, from: buffer)
  }
}
