public import SystemPackage

/// Memory that belongs to a client.
public protocol ClientMemory: AnyObject, Sendable {
  /// Copies `buffer.count` bytes at `address` into `buffer`.
  ///
  /// - Throws: `EFAULT` when any byte of the range cannot be read; the buffer's contents are then unspecified.
  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno)

  /// Copies `buffer` to `address`.
  ///
  /// - Throws: `EFAULT` when any byte of the range cannot be written; a part may have been.
  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno)
}

/// A client's address space, the kernel's `mm`: what owns a group, and what DMA reaches.
///
/// Two clients share an address space exactly when they hold the same object (`===`); threads and
/// `CLONE_VM` children do, fork children do not.
public protocol AddressSpace: ClientMemory {
  /// How far `range` is mapped with the rights a pinned page needs: readable, and writable where
  /// `writable` asks for it.
  ///
  /// - Throws: `EFAULT` when the memory cannot be looked at.
  func mapped(_ range: Range<ClientAddress>, writable: Bool) throws(Errno) -> MappedExtent

  /// Moves the segments in order, up to the first page that cannot be.
  ///
  /// - Returns: how many bytes moved; all of them where none is amiss.
  func copy(_ direction: CopyDirection, _ segments: UnsafeBufferPointer<CopySegment>) -> Int

  /// Adds `bytes` to what the address space has locked (the kernel's `locked_vm`).
  ///
  /// - Throws: `ENOMEM`, with nothing added, when the sum would exceed `limit`.
  func lock(_ bytes: UInt64, limit: UInt64) throws(Errno)

  /// Takes `bytes` off again.
  func unlock(_ bytes: UInt64)
}

/// What there is in a range of client memory.
public struct MappedExtent: Sendable {
  /// The first page of the range that is not there; its upper bound when all of it is.
  public var end: ClientAddress
  /// Memory of ours with the same pages as the whole range, where that is shared memory: what is written
  /// to either is in both. The client's memory works all the same.
  public var window: SharedWindow?
  /// Mappings of devices' memory that the range touches, in order and apart: no pages of the client's, and so
  /// nothing that it locks (`is_invalid_reserved_pfn` of drivers/vfio/vfio_iommu_type1.c).
  public var devices: [Range<ClientAddress>]

  public init(
    end: ClientAddress, window: SharedWindow? = nil, devices: [Range<ClientAddress>] = []
  ) {
    self.end = end
    self.window = window
    self.devices = devices
  }
}

extension [Range<ClientAddress>] {
  /// Adds a mapping that was found behind those before. The client can move its mappings while we look, so that
  /// one is seen twice.
  package mutating func add(found next: Range<ClientAddress>) {
    guard let last, next.lowerBound <= last.upperBound else { return append(next) }
    if next.upperBound > last.upperBound { self[count - 1] = last.lowerBound..<next.upperBound }
  }
}

extension AddressSpace {
  public func copy(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<CopySegment>
  ) -> Int {
    var done = 0
    for segment in segments {
      var at = 0
      while at < segment.count {
        guard let remote = segment.remote.advanced(by: UInt64(at)) else { return done }
        let left = 4096 - Int(remote.rawValue % 4096)
        // SAFETY: a part of the segment's own bytes.
        let part = UnsafeMutableRawBufferPointer(
          start: segment.local + at, count: min(left, segment.count - at))
        do throws(Errno) {
          switch direction {
          case .fromClient: try read(remote, into: part)
          case .toClient: try write(remote, from: UnsafeRawBufferPointer(part))
          }
        } catch {
          return done
        }
        at += part.count
        done += part.count
      }
    }
    return done
  }
}
