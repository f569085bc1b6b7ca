extension DMAPort {
  /// Reads `count` bytes at `iova`; those that the IOMMU does not let the device read are zeros.
  public func read(_ iova: IOVA, count: Int) -> (bytes: [UInt8], fault: DMAFault?) {
    var fault: DMAFault?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      buffer.initialize(repeating: 0)
      // SAFETY: the array's own storage, all of it initialised, for the length of the call.
      fault = read(iova, into: UnsafeMutableRawBufferPointer(buffer))
      initialized = count
    }
    return (bytes, fault)
  }

  /// Writes `bytes` at `iova`; those that the IOMMU does not let the device write vanish.
  public func write(_ iova: IOVA, _ bytes: [UInt8]) -> DMAFault? {
    // SAFETY: the array's own storage, for the length of the call.
    bytes.withUnsafeBytes { write(iova, from: $0) }
  }
}
