public import ClientAccess
public import DeviceKit
import Synchronization

/// A device's place on the IOMMU: its way to memory through whatever domain it is attached to.
///
/// It lives as long as the device; domains come and go with the users of the device's group. Calls come
/// from any thread; transfers that a device makes at the same time wait for each other only while they
/// look mappings up, or copy shared memory of up to 64 KiB.
public final class DomainPort: DMAPort {
  let lane = Lane()
  private let domain = Mutex<SoftIOMMU?>(nil)
  private let device: String
  private let faults: DMAFaultLog?

  /// - Parameters:
  ///   - device: its name, for fault reports.
  ///   - faults: what to tell of faults.
  public init(device: String = "", faults: DMAFaultLog? = nil) {
    self.device = device
    self.faults = faults
  }

  deinit {
    domain.withLock { $0?.table.remove(lane) }
  }

  /// Leads all later transfers through `domain`.
  public func attach(to domain: SoftIOMMU) {
    self.domain.withLock { attached in
      attached?.table.remove(lane)
      attached = domain
      domain.table.add(lane)
    }
  }

  /// Leads no transfer through `domain` any more; does nothing when another one is attached.
  ///
  /// When it returns, no transfer of this device through `domain` is under way. It may wait for client
  /// memory: call it with no lock held.
  public func detach(from domain: SoftIOMMU) {
    // Not for those of the next domain, which begin later.
    lane.wait(SoftIOMMU.everything, upTo: leave(domain))
  }

  /// The same, but waits for nothing: a transfer that has begun goes on.
  public func forget(_ domain: SoftIOMMU) {
    _ = leave(domain)
  }

  /// - Returns: the ticket of the transfer that began last.
  private func leave(_ domain: SoftIOMMU) -> UInt64 {
    self.domain.withLock { attached in
      if attached === domain {
        domain.table.remove(lane)
        attached = nil
      }
      lane.lock()
      defer { lane.unlock() }
      return lane.lastTicket
    }
  }

  public func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    guard let start = buffer.baseAddress, buffer.count > 0 else { return nil }
    return told(lane.transfer(.fromClient, iova.rawValue, start, buffer.count), .read, buffer.count)
  }

  public func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    guard let start = buffer.baseAddress, buffer.count > 0 else { return nil }
    // SAFETY: a transfer to the client only reads the buffer.
    let bytes = UnsafeMutableRawPointer(mutating: start)
    return told(lane.transfer(.toClient, iova.rawValue, bytes, buffer.count), .write, buffer.count)
  }

  public func read(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    told(lane.transfer(.fromClient, segments), .read, count(segments))
  }

  public func write(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    told(lane.transfer(.toClient, segments), .write, count(segments))
  }

  public func atomic(
    _ operation: DMAAtomic, _ iova: IOVA, width: Int, operand: UInt64
  ) throws(DMAFault) -> UInt64 {
    do {
      return try lane.atomic(operation, iova.rawValue, width, operand)
    } catch {
      _ = told(error, .atomic, width)
      throw error
    }
  }

  /// Where `iova` leads, nil where nothing is mapped.
  public func translate(_ iova: IOVA) -> (vaddr: ClientAddress, permissions: DMAPermissions)? {
    lane.translate(iova.rawValue)
  }

  @inline(__always)
  private func told(
    _ fault: DMAFault?, _ direction: DMAFaultEvent.Direction, _ count: Int
  ) -> DMAFault? {
    if let fault { tell(fault, direction, count) }
    return fault
  }

  @inline(never)
  private func tell(_ fault: DMAFault, _ direction: DMAFaultEvent.Direction, _ count: Int) {
    guard let faults else { return }
    let nearest = domain.withLock { $0 }?.nearestMapping(to: fault.iova)
    faults.note(
      DMAFaultEvent(
        device: device, fault: fault, direction: direction, count: count, nearest: nearest))
  }

  private func count(_ segments: UnsafeBufferPointer<DMASegment>) -> Int {
    segments.reduce(0) { $0 + $1.buffer.count }
  }
}

extension Lane {
  @inline(__always)
  func translate(_ iova: UInt64) -> (vaddr: ClientAddress, permissions: DMAPermissions)? {
    lock()
    defer { unlock() }
    guard find(iova) else { return nil }
    return (
      ClientAddress(iova &+ state.pointee.hit.toVaddr),
      DMAPermissions(rawValue: UInt8(truncatingIfNeeded: state.pointee.hit.word & 3))
    )
  }
}
