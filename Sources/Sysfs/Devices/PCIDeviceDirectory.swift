import DeviceKit
import SystemPackage
import VFIOCore

/// The files that functions and bridges have (drivers/pci/pci-sysfs.c).
private enum DeviceName: String, CaseIterable, Sendable {
  case ariEnabled = "ari_enabled"
  case brokenParityStatus = "broken_parity_status"
  case `class`, config
  case consistentDMAMaskBits = "consistent_dma_mask_bits"
  case d3coldAllowed = "d3cold_allowed"
  case device
  case dmaMaskBits = "dma_mask_bits"
  case driver
  case driverOverride = "driver_override"
  case enable
  case iommuGroup = "iommu_group"
  case irq
  case localCPUList = "local_cpulist"
  case localCPUs = "local_cpus"
  case modalias
  case msiBus = "msi_bus"
  case numaNode = "numa_node"
  case powerState = "power_state"
  case remove, rescan, reset, resource
  case resource0, resource1, resource2, resource3, resource4, resource5
  case resource0WC = "resource0_wc"
  case resource1WC = "resource1_wc"
  case resource2WC = "resource2_wc"
  case resource3WC = "resource3_wc"
  case resource4WC = "resource4_wc"
  case resource5WC = "resource5_wc"
  case revision, rom
  case secondaryBusNumber = "secondary_bus_number"
  case subordinateBusNumber = "subordinate_bus_number"
  case subsystem
  case subsystemDevice = "subsystem_device"
  case subsystemVendor = "subsystem_vendor"
  case uevent, vendor
  case vfioDev = "vfio-dev"

  /// The BAR that `resourceN` is, or `resourceN_wc`, by which prefetchable memory is mapped for combined writes.
  var bar: (number: Int, combines: Bool)? {
    let text = rawValue.dropFirst("resource".count)
    guard rawValue.hasPrefix("resource"), let number = text.first?.wholeNumberValue else {
      return nil
    }
    return (number, text.count > 1)
  }
}

extension SysfsDirectory {
  /// The directory of a function or a bridge; a bridge's has what is behind it, too.
  static func pciDevice(_ slot: SysfsMachine.Slot, _ machine: SysfsMachine) -> SysfsDirectory {
    switch slot {
    case .function(let function):
      return SysfsDirectory(DeviceName.self) { function.node($0, machine) }
    case .bridge(let bridge):
      let files = SysfsDirectory(DeviceName.self) { bridge.node($0, machine) }
      let slots = SysfsDirectory.slots(on: bridge.secondaryBus, machine)
      return SysfsDirectory(
        names: { slots.names + files.names }, child: { slots[$0] ?? files[$0] })
    }
  }
}

extension SysfsFile {
  /// A file that always reads the same.
  static func fixed(_ text: String) -> SysfsNode {
    .file(SysfsFile(0o444, read: { () throws(Errno) in line(text) }))
  }

  /// Configuration space, of which whoever is no administrator gets the header (`pci_read_config`).
  fileprivate static func config(
    size: Int = 256, _ read: @escaping Read, write: @escaping WritePart
  ) -> SysfsNode {
    var file = SysfsFile(0o644, size: UInt64(size), read: read)
    file.writePart = write
    file.isBinary = true
    file.unprivilegedSize = 64
    return .file(file)
  }
}

extension PCIBus.FunctionStatus {
  fileprivate func node(_ name: DeviceName, _ machine: SysfsMachine) -> SysfsNode? {
    let header = DeviceHeader(self)
    let address = address
    switch name {
    case .driver:
      return machine.drivers.name(of: driver).map {
        symlink(from: machine.path(of: address), to: ["bus", "pci", "drivers", $0])
      }
    case .driverOverride:
      return .file(
        SysfsFile(
          0o644,
          read: { () throws(Errno) in
            line(try machine.live(address).driverOverride ?? "(null)")
          },
          write: { text throws(Errno) in
            try machine.drivers.setOverride(address, text)
            return .done
          }))
    case .iommuGroup:
      return machine.iommuGroup(group, of: machine.path(of: address))
    case .config:
      return SysfsFile.config(size: description.configSize) { () throws(Errno) in
        try machine.liveConfig(address)
      } write: { offset, bytes throws(Errno) in
        do throws(BusError) {
          return try machine.bus.writeConfig(at: address, offset: offset, bytes)
        } catch {
          throw error.errno
        }
      }
    case .irq:
      return .file(
        SysfsFile(
          0o444,
          read: { () throws(Errno) in
            _ = try machine.live(address)
            return line("\(machine.bus.interrupt(of: address) ?? 0)")
          }))
    case .enable:
      return .file(
        SysfsFile(
          0o644,
          read: { () throws(Errno) in
            line("\(machine.enableCount(of: try machine.live(address)))")
          },
          write: { text throws(Errno) in
            try machine.drivers.setEnabled(address, text)
            return .done
          }))
    case .reset:
      guard description.reset != .none else { return nil }
      return .action { text throws(Errno) in try machine.drivers.reset(address, text) }
    case .resource:
      return .file(SysfsFile(0o444, read: { () throws(Errno) in Array(resourceLines.utf8) }))
    case .resource0, .resource1, .resource2, .resource3, .resource4, .resource5,
      .resource0WC, .resource1WC, .resource2WC, .resource3WC, .resource4WC, .resource5WC:
      guard let (number, combines) = name.bar, let bar = description.bars[number],
        !combines || bar.isPrefetchable
      else { return nil }
      return .file(.resource(bar, number: number, of: address, machine.bus))
    case .vfioDev:
      return machine.vfioDevices.number(of: address).map {
        .directory(.vfioDevice(number: $0, address, machine))
      }
    case .rom:
      guard let rom = description.rom else { return nil }
      var file = SysfsFile(
        0o600, size: description.romSize,
        read: { () throws(Errno) in
          guard machine.drivers.showsROM(address) else { throw .invalidArgument }
          return rom
        },
        write: { text throws(Errno) in
          machine.drivers.setShowsROM(address, text)
          return .done
        })
      file.isBinary = true
      return .file(file)
    case .uevent:
      return .file(
        SysfsFile(
          0o644,
          read: { () throws(Errno) in
            let driver = machine.drivers.name(of: try machine.live(address).driver)
            return Array(header.uevent(driver: driver).utf8)
          },
          write: { text throws(Errno) in try takeUEvent(text) }))
    default:
      return header.node(name, machine)
    }
  }

  /// Start, end and flags of the six BARs and the ROM, as `resource_show` prints them.
  private var resourceLines: String {
    (0..<7).map { number in
      if number == 6, description.rom != nil {
        return ResourceLine.rom(description.romSize, at: barAddresses[number])
      }
      guard let bar = description.bars[number] else { return ResourceLine.none }
      return ResourceLine.text(bar, at: barAddresses[number])
    }.joined()
  }
}

extension PCIBridge {
  /// Six BARs and a ROM that it does not have, then its windows and one of CardBus alone: DEVICE_COUNT_RESOURCE
  /// without SR-IOV.
  private func resourceLines(_ windows: PCIBridgeWindows) -> String {
    String(repeating: ResourceLine.none, count: 7)
      + ResourceLine.window(windows.io, .io)
      + ResourceLine.window(windows.memory, .memory32)
      + ResourceLine.window(windows.prefetchable, .memory64)
      + ResourceLine.none
  }

  fileprivate func node(_ name: DeviceName, _ machine: SysfsMachine) -> SysfsNode? {
    let header = DeviceHeader(self)
    switch name {
    case .config:
      return SysfsFile.config { () throws(Errno) in
        config(
          subordinate: machine.subordinate(of: self), windows: machine.bus.windows(of: self))
      } write: { offset, bytes throws(Errno) in
        // All of it is hard-wired.
        max(0, min(bytes.count, 256 - offset))
      }
    case .irq:
      return SysfsFile.fixed("0")
    case .enable:
      return SysfsFile.fixed("1")
    case .resource:
      return .file(
        SysfsFile(
          0o444,
          read: { () throws(Errno) in Array(resourceLines(machine.bus.windows(of: self)).utf8) }))
    case .uevent:
      return .file(
        SysfsFile(
          0o644, read: { () throws(Errno) in Array(header.uevent(driver: nil).utf8) },
          write: { text throws(Errno) in try takeUEvent(text) }))
    case .secondaryBusNumber:
      return SysfsFile.fixed("\(secondary)")
    case .subordinateBusNumber:
      return .file(
        SysfsFile(
          0o444, read: { () throws(Errno) in line("\(machine.subordinate(of: self))") }))
    case .driver, .driverOverride, .iommuGroup, .reset, .rom, .vfioDev:
      return nil
    case _ where name.bar != nil: return nil
    default:
      return header.node(name, machine)
    }
  }
}

extension DeviceHeader {
  /// What functions and bridges have alike.
  fileprivate func node(_ name: DeviceName, _ machine: SysfsMachine) -> SysfsNode? {
    let address = address
    return switch name {
    case .ariEnabled, .brokenParityStatus: SysfsFile.fixed("0")
    case .class: SysfsFile.fixed("0x" + hex(classCode, 6))
    // Nobody has set another mask than the default.
    case .consistentDMAMaskBits, .dmaMaskBits: SysfsFile.fixed("32")
    case .d3coldAllowed, .msiBus: SysfsFile.fixed("1")
    case .device: SysfsFile.fixed("0x" + hex(deviceID, 4))
    case .localCPUList: SysfsFile.fixed(ProcessorSet.list(machine.options.processors))
    case .localCPUs: SysfsFile.fixed(ProcessorSet.mask(machine.options.processors))
    case .modalias: SysfsFile.fixed(modalias)
    case .numaNode: SysfsFile.fixed("-1")
    case .powerState: SysfsFile.fixed("D0")
    case .remove:
      .file(
        SysfsFile(
          0o220,
          write: { text throws(Errno) in try machine.drivers.remove(address, text) }))
    case .rescan:
      .action(0o220) { text throws(Errno) in
        try machine.drivers.rescan(address.busAddress, text)
      }
    case .revision: SysfsFile.fixed("0x" + hex(revision, 2))
    case .subsystem: symlink(from: machine.path(of: address), to: ["bus", "pci"])
    case .subsystemDevice: SysfsFile.fixed("0x" + hex(subsystemID, 4))
    case .subsystemVendor: SysfsFile.fixed("0x" + hex(subsystemVendorID, 4))
    case .vendor: SysfsFile.fixed("0x" + hex(vendorID, 4))
    default: nil
    }
  }
}

/// Takes a synthetic event, which nobody listens to.
///
/// - Throws: `EINVAL` for what is no action (`kobject_action_type` in lib/kobject_uevent.c).
func takeUEvent(_ text: [UInt8]) throws(Errno) -> SysfsWrite {
  let action = String(decoding: text.prefix { $0 != 0x0a && $0 != 0x20 && $0 != 0 }, as: UTF8.self)
  let actions = ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"]
  guard actions.contains(action) else { throw .invalidArgument }
  return .done
}

extension SysfsMachine {
  /// The function as it is now, for a file that may be read long after it was looked up.
  fileprivate func live(_ address: PCIAddress) throws(Errno) -> PCIBus.FunctionStatus {
    guard let function = bus.function(at: address) else { throw .operationNotSupportedByDevice }
    return function
  }

  fileprivate func liveConfig(_ address: PCIAddress) throws(Errno) -> [UInt8] {
    guard let config = bus.config(at: address) else { throw .operationNotSupportedByDevice }
    return config
  }

  /// How often the function is enabled: by its driver, vfio while a client has it open, or by hand.
  fileprivate func enableCount(of function: PCIBus.FunctionStatus) -> Int {
    let isEnabled =
      switch function.driver {
      case .none: false
      case .host: true
      case .vfio:
        vfio.group(function.group)?.members.contains {
          $0.device.name == function.address.description && $0.openCount > 0
        } ?? false
      }
    return drivers.enableCount(function.address) + (isEnabled ? 1 : 0)
  }
}
