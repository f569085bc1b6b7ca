public import DeviceKit
import Synchronization

/// A device's place on the IOMMU: its way to memory through whatever domain it is attached to.
///
/// It lives as long as the device; domains come and go with the users of the device's group.
public final class DomainPort: DMAPort {
  private let domain = Mutex<SoftIOMMU?>(nil)

  public init() {}

  /// Leads all later transfers through `domain`.
  public func attach(to domain: SoftIOMMU) {
    self.domain.withLock { $0 = domain }
  }

  /// Leads no transfer through `domain` any more; does nothing when another one is attached.
  ///
  /// When it returns, no transfer of this device through `domain` is under way. It may wait for client
  /// memory: call it with no lock held.
  public func detach(from domain: SoftIOMMU) {
    forget(domain)
    domain.drain()
  }

  /// The same, but waits for nothing: a transfer that has begun goes on.
  public func forget(_ domain: SoftIOMMU) {
    self.domain.withLock { attached in
      if attached === domain { attached = nil }
    }
  }

  public func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    guard buffer.count > 0 else { return nil }
    let transfer = Transfer()
    return transfer.run {
      guard let plan = begin(transfer, iova, buffer.count) else {
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        return DMAFault(iova: iova, cause: .noDomain)
      }
      return plan.read(into: buffer)
    }
  }

  public func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    guard buffer.count > 0 else { return nil }
    let transfer = Transfer()
    return transfer.run {
      guard let plan = begin(transfer, iova, buffer.count) else {
        return DMAFault(iova: iova, cause: .noDomain)
      }
      return plan.write(from: buffer)
    }
  }

  /// Under the lock, so that a transfer is in the ledger before `detach` looks for it.
  private func begin(_ transfer: Transfer, _ iova: IOVA, _ count: Int) -> TransferPlan? {
    domain.withLock { $0?.begin(transfer, iova, count) }
  }
}
