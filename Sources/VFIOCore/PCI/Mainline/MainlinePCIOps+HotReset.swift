import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// What a reset of the bus that a function is on takes along.
struct PCIBusReset: Sendable {
  /// All functions on the bus and behind it, in the order of their addresses, the function itself among them.
  var functions: [(function: PCIFunction, group: GroupID, isBound: Bool)]
}

extension MainlinePCIOps {
  /// Where all of a bus is vfio's and nobody has any of it open, resets it for those that cannot be reset alone
  /// (`vfio_pci_dev_set_try_reset`).
  func resetBusWhileIdle(of function: PCIFunction) {
    guard let reset = neighbours(function) else { return }
    let uses = reset.functions.map(\.function.idleness)
    guard reset.functions.allSatisfy(\.isBound), uses.allSatisfy(\.isIdle),
      uses.contains(where: \.wantsReset)
    else { return }
    for (function, _, _) in reset.functions { function.resetWhileIdle() }
  }
}

/// `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO` and `VFIO_DEVICE_PCI_HOT_RESET`.
extension MainlinePCIOps {
  func getHotResetInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Mainline.HotResetInfo.self, at: argument)
    guard let reset = neighbours(function) else { throw .operationNotSupportedByDevice }
    let needed =
      Mainline.HotResetInfo.size
      + reset.functions.count * MemoryLayout<Mainline.DependentDevice>.size
    info.flags = 0
    info.count = UInt32(reset.functions.count)
    try client.store(info, to: ClientAddress(argument))
    guard Int(info.argsz) >= needed else { throw .noSpace }
    var bytes: [UInt8] = []
    for (function, group, _) in reset.functions {
      let address = function.address
      bytes.append(littleEndian: group.number)
      bytes.append(littleEndian: address.domain)
      bytes.append(address.bus)
      bytes.append(address.device << 3 | address.function)
    }
    try client.store(bytes, at: argument, offset: Mainline.HotResetInfo.size)
  }

  func hotReset(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let header = try client.argument(Mainline.HotReset.self, at: argument)
    if header.flags != 0 { throw .invalidArgument }
    guard let reset = neighbours(function) else { throw .operationNotSupportedByDevice }
    guard header.count > 0, header.count <= reset.functions.count else { throw .invalidArgument }
    let descriptors: [Int32] = try client.array(
      Int(header.count), at: argument, offset: Mainline.HotReset.size)
    var groups: Set<GroupID> = []
    for descriptor in descriptors {
      guard let group = try client.file(descriptor) as? MainlineGroupFile else {
        throw .invalidArgument
      }
      groups.insert(group.id)
    }
    guard reset.functions.allSatisfy({ $0.isBound && groups.contains($0.group) }) else {
      throw .invalidArgument
    }
    for (function, _, _) in reset.functions { function.resetNow() }
  }
}
