import CPlugin
import DeviceKit
import SystemPackage

/// What plug-ins register, as kinds that a topology can name.
enum PluginKinds {
  /// - Throws: `EINVAL` for what describes no PCI function.
  static func pci(
    _ pointer: UnsafePointer<vfio_pci_model>?, _ registry: PluginRegistry
  ) throws(Errno) -> PCIFunctionKind {
    let model = try copySized(
      pointer, into: vfio_pci_model(), least: MemoryLayout<vfio_pci_model>.size)
    let name = try name(model.name)
    let ops = try ModelOps(model.ops)
    guard let pin = PCIFunctionDescription.InterruptPin(rawValue: model.interrupt_pin),
      model.class_code <= 0xff_ffff
    else { throw .invalidArgument }
    var bars: [Int: PCIFunctionDescription.BAR] = [:]
    let given = [
      model.bars.0, model.bars.1, model.bars.2, model.bars.3, model.bars.4, model.bars.5,
    ]
    for (number, bar) in given.enumerated() where bar.size > 0 {
      let isPrefetchable = bar.flags & UInt32(VFIO_PCI_BAR_PREFETCHABLE) != 0
      let isRAM = bar.flags & UInt32(VFIO_PCI_BAR_RAM) != 0
      bars[number] =
        if bar.flags & UInt32(VFIO_PCI_BAR_IO) != 0 {
          .io(size: bar.size)
        } else if bar.flags & UInt32(VFIO_PCI_BAR_64BIT) != 0 {
          .memory64(size: bar.size, prefetchable: isPrefetchable, ram: isRAM)
        } else {
          .memory32(size: bar.size, prefetchable: isPrefetchable, ram: isRAM)
        }
    }
    let description = PCIFunctionDescription(
      vendorID: model.vendor, deviceID: model.device, revision: model.revision,
      classCode: model.class_code, subsystemVendorID: model.subsystem_vendor,
      subsystemID: model.subsystem_device, bars: bars, interruptPin: pin,
      msi: model.msi_vectors == 0 ? nil : .init(vectors: Int(model.msi_vectors)),
      msix: model.msix_vectors == 0
        ? nil
        : .init(
          vectors: Int(model.msix_vectors),
          table: .init(bar: Int(model.msix_table_bar), offset: UInt64(model.msix_table_offset)),
          pending: .init(
            bar: Int(model.msix_pending_bar), offset: UInt64(model.msix_pending_offset))),
      reset: model.flags & UInt32(VFIO_MODEL_HAS_RESET) != 0 ? .flr : .none)
    return PCIFunctionKind(name: name, description: description) { port in
      let device = ModelDevice(.pci(port), name: name, ops: ops, registry: registry)
      registry.add(device)
      return PluginModel(device, ops)
    }
  }

  /// - Throws: `EINVAL` for what describes no platform device.
  static func platform(
    _ pointer: UnsafePointer<vfio_platform_model>?, _ registry: PluginRegistry
  ) throws(Errno) -> PlatformDeviceKind {
    let model = try copySized(
      pointer, into: vfio_platform_model(), least: MemoryLayout<vfio_platform_model>.size)
    let name = try name(model.name)
    let ops = try ModelOps(model.ops)
    let irqs = try copyArray(model.irqs, model.num_irqs, limit: 64)
    if irqs.contains(where: { $0.count != 1 }) { throw .invalidArgument }
    let description = PlatformDeviceDescription(
      regions: try copyArray(model.regions, model.num_regions, limit: 64)
        .map(PlatformDeviceDescription.Region.init),
      interrupts: irqs.map { $0.flags & UInt32(VFIO_DEVICE_IRQ_LEVEL) != 0 ? .level : .edge },
      hasReset: model.flags & UInt32(VFIO_MODEL_HAS_RESET) != 0)
    return PlatformDeviceKind(name: name, description: description) { port in
      let device = ModelDevice(
        .platform(port, interrupts: description.interrupts.count), name: name, ops: ops,
        registry: registry)
      registry.add(device)
      return PluginModel(device, ops)
    }
  }

  private static func name(_ pointer: UnsafePointer<CChar>?) throws(Errno) -> String {
    let name = try copyText(pointer, limit: 32)
    guard isIdentifier(name) else { throw .invalidArgument }
    return name
  }
}
