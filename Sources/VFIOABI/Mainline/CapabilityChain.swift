extension Mainline {
  /// Capabilities that follow a structure, each with a header that says where the next one is.
  ///
  /// They stand back to back, without padding, as the kernel has them (`vfio_info_cap_add`).
  public struct CapabilityChain: Sendable {
    /// `struct vfio_info_cap_header`.
    public static let headerSize = 8

    private var capabilities: [(id: UInt16, version: UInt16, payload: [UInt8])] = []

    public init() {}

    public var isEmpty: Bool { capabilities.isEmpty }

    /// Bytes of the chain.
    public var size: Int {
      capabilities.reduce(0) { $0 + Self.headerSize + $1.payload.count }
    }

    public mutating func append(id: UInt16, version: UInt16 = 1, payload: [UInt8] = []) {
      capabilities.append((id, version, payload))
    }

    /// The chain as bytes.
    ///
    /// - Parameter start: where it stands, counted from the start of the structure that it follows.
    public func bytes(at start: Int) -> [UInt8] {
      var bytes: [UInt8] = []
      for (i, capability) in capabilities.enumerated() {
        let end = start + bytes.count + Self.headerSize + capability.payload.count
        bytes.append(littleEndian: capability.id)
        bytes.append(littleEndian: capability.version)
        bytes.append(littleEndian: i + 1 == capabilities.count ? 0 : UInt32(end))
        bytes += capability.payload
      }
      return bytes
    }
  }
}

extension [UInt8] {
  /// Appends the bytes of `value`, the lowest first.
  public mutating func append(littleEndian value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }
}
