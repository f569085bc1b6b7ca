import DeviceKit

/// Cuts an access into what reaches the device: naturally aligned 4 bytes, else 2, else 1
/// (drivers/vfio/pci/vfio_pci_rdwr.c).
struct AccessPieces: Sequence, IteratorProtocol {
  private let offset: UInt64
  private let count: Int
  private var done = 0

  /// - Parameters:
  ///   - offset: bytes from the start of the BAR.
  ///   - count: bytes.
  init(offset: UInt64, count: Int) {
    self.offset = offset
    self.count = count
  }

  /// - Returns: where the piece starts, counted from `offset`, and its width.
  mutating func next() -> (start: Int, width: AccessWidth)? {
    guard done < count else { return nil }
    let at = offset + UInt64(done)
    let width: AccessWidth =
      if at % 4 == 0, count - done >= 4 {
        .dword
      } else if at % 2 == 0, count - done >= 2 {
        .word
      } else {
        .byte
      }
    defer { done += width.rawValue }
    return (done, width)
  }
}
