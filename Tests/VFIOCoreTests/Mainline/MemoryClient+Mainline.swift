import ClientAccess
import SystemPackage
import VFIOABI
import VFIOCore

/// A client of today's API.
extension MemoryClient {
  func openContainer(_ vfio: VFIO) -> Int32 {
    install(.file(vfio.openContainer()))
  }

  func openMainline(_ vfio: VFIO, _ number: UInt32) throws(Errno) -> Int32 {
    install(.file(try vfio.openMainlineGroup(GroupID(bus: "pci", number: number), by: self)))
  }

  @discardableResult
  func call(
    _ fd: Int32, _ request: Mainline.ContainerRequest, _ argument: UInt64 = 0
  ) throws(Errno) -> Int32 {
    try ioctl(fd, request.rawValue, argument)
  }

  @discardableResult
  func call(
    _ fd: Int32, _ request: Mainline.GroupRequest, _ argument: UInt64 = 0
  ) throws(Errno) -> Int32 {
    try ioctl(fd, request.rawValue, argument)
  }

  @discardableResult
  func call(
    _ fd: Int32, _ request: Mainline.DeviceRequest, _ argument: UInt64 = 0
  ) throws(Errno) -> Int32 {
    try ioctl(fd, request.rawValue, argument)
  }

  func setContainer(_ group: Int32, _ container: Int32) throws(Errno) {
    try store(container, to: ClientAddress(Self.argument))
    try call(group, .setContainer, Self.argument)
  }

  func setIOMMU(_ container: Int32, _ type: UInt64 = 3) throws(Errno) {
    try call(container, .setIOMMU, type)
  }

  func status(_ group: Int32) throws(Errno) -> Mainline.GroupStatus.Flags {
    var status = Mainline.GroupStatus()
    status.argsz = 8
    return try ioctl(group, Mainline.GroupRequest.getStatus.rawValue, status).flags
  }

  func device(_ group: Int32, _ name: String) throws(Errno) -> Int32 {
    space.poke(Self.argument, Array(name.utf8) + [0])
    return try call(group, .getDeviceFD, Self.argument)
  }

  /// Opens container, group and device.
  func open(
    _ vfio: VFIO, _ number: UInt32, _ name: String
  ) throws(Errno) -> (container: Int32, group: Int32, device: Int32) {
    let container = openContainer(vfio)
    let group = try openMainline(vfio, number)
    try setContainer(group, container)
    try setIOMMU(container)
    return (container, group, try device(group, name))
  }

  func map(
    _ container: Int32, iova: UInt64, vaddr: UInt64, size: UInt64,
    flags: Mainline.DMAMap.Flags = [.read, .write]
  ) throws(Errno) {
    var map = Mainline.DMAMap()
    map.argsz = 32
    (map.iova, map.vaddr, map.size, map.flags) = (iova, vaddr, size, flags)
    try ioctl(container, Mainline.ContainerRequest.iommuMapDMA.rawValue, map)
  }

  func unmap(
    _ container: Int32, iova: UInt64, size: UInt64, flags: Mainline.DMAUnmap.Flags = []
  ) throws(Errno) -> UInt64 {
    var unmap = Mainline.DMAUnmap()
    unmap.argsz = 24
    (unmap.iova, unmap.size, unmap.flags) = (iova, size, flags)
    return try ioctl(container, Mainline.ContainerRequest.iommuUnmapDMA.rawValue, unmap).size
  }

  /// `VFIO_DEVICE_SET_IRQS`, with what `data` has behind the structure.
  func setIRQs(
    _ device: Int32, _ flags: Mainline.IRQSet.Flags, _ index: Mainline.PCIInterrupt,
    start: UInt32 = 0, count: UInt32 = 1, data: [UInt8] = []
  ) throws(Errno) {
    var set = Mainline.IRQSet()
    set.argsz = UInt32(20 + data.count)
    (set.flags, set.index, set.start, set.count) = (flags, index.rawValue, start, count)
    space.poke(Self.argument + 20, data)
    try ioctl(device, Mainline.DeviceRequest.setIRQs.rawValue, set)
  }

  func setEventfds(
    _ device: Int32, _ index: Mainline.PCIInterrupt, start: UInt32 = 0, _ descriptors: [Int32],
    action: Mainline.IRQSet.Flags = .trigger
  ) throws(Errno) {
    let data = descriptors.flatMap { descriptor in
      (0..<4).map { UInt8(truncatingIfNeeded: UInt32(bitPattern: descriptor) >> (8 * $0)) }
    }
    try setIRQs(
      device, [.eventfd, action], index, start: start, count: UInt32(descriptors.count), data: data)
  }
}
