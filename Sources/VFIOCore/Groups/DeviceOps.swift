public import ClientAccess
public import DeviceKit
public import SystemPackage

/// What a bus driver registers with a bound device and gets back when it unbinds it: opaque to the core.
public typealias DeviceData = any AnyObject & Sendable

/// How a bus driver serves its devices: the document's `struct vfio_device_ops`.
///
/// Calls come from any thread with no lock of the core held, so that they may wait and may call
/// `VFIO` again.
public protocol DeviceOps: AnyObject, Sendable {
  /// Whether `string`, as a client gave it, names `device`.
  ///
  /// - Throws: what is wrong with a string that names it and says more.
  func match(_ device: Device, _ string: String) throws(Errno) -> Bool

  /// Takes ownership of a device that was added to a group in use: probes it and calls
  /// `VFIO.bindDevice`. Buses without hot-plug keep the default, which fails with `EOPNOTSUPP`.
  ///
  /// - Throws: why the device stays as it was; its group is tainted then.
  func claim(_ device: Device) throws(Errno)

  /// A client opens the device; called for each descriptor.
  func open(_ data: DeviceData) throws(Errno)

  /// A descriptor is gone; called once for each successful `open`.
  func release(_ data: DeviceData)

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int

  /// - Throws: `ENOTTY` for a request that the device does not know.
  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult

  /// What can be mapped of the device, each byte at its offset on the descriptor; nil for nothing, which is
  /// the default.
  func memory(_ data: DeviceData) -> SharedMemory?

  /// - Throws: `EINVAL` for what cannot be mapped.
  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking

  /// A client reads `width` bytes of registers that `mmap` let it map.
  ///
  /// - Throws: what raises SIGBUS in the client; the default has no such registers.
  func load(_ data: DeviceData, at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64

  /// The same for a write.
  func store(
    _ data: DeviceData, at offset: UInt64, width: AccessWidth, value: UInt64
  ) throws(Errno)

  /// Somebody wants a device back that a client has open, and waits: the `request` of today's kernels.
  /// Called again every ten seconds. Does nothing by default.
  func request(_ data: DeviceData)

  /// How the bus driver serves the same devices, with the same data, to clients of today's API, whose ioctl
  /// numbers mean other things. By default it does not: they find none of its devices.
  var mainline: (any DeviceOps)? { get }
}

extension DeviceOps {
  public func memory(_ data: DeviceData) -> SharedMemory? { nil }

  public func load(
    _ data: DeviceData, at offset: UInt64, width: AccessWidth
  ) throws(Errno) -> UInt64 {
    throw .ioError
  }

  public func store(
    _ data: DeviceData, at offset: UInt64, width: AccessWidth, value: UInt64
  ) throws(Errno) {
    throw .ioError
  }

  public func request(_ data: DeviceData) {}

  public var mainline: (any DeviceOps)? { nil }

  public func claim(_ device: Device) throws(Errno) {
    throw .notSupportedOnSocket
  }
}
