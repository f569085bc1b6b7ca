import Control
import DeviceKit
import Devices
import Logging
import PluginHost
import VFIOCore

/// The device models that a topology may name: those of the program and those of plug-ins.
struct Models: ModelCatalogue, Sendable {
  private let builtIn = DeviceCatalogue()
  private var plugins: PluginHost

  init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    plugins = PluginHost(
      vfio: vfio, scheduler: scheduler, logger: logger,
      taken: builtIn.models.map(\.name) + DeviceCatalogue.platformKinds.keys)
  }

  func models(on bus: Topology.BusKind) -> [String] {
    switch bus {
    case .pci: builtIn.models.map(\.name) + plugins.pciKinds.keys
    case .platform: Array(DeviceCatalogue.platformKinds.keys) + plugins.platformKinds.keys
    }
  }

  func parameters(of model: String) -> [DeviceParameter] {
    builtIn.model(named: model)?.parameters ?? []
  }

  mutating func load(_ plugin: Topology.Plugin) throws {
    try plugins.load(plugin.file, parameters: plugin.parameters)
  }

  /// The kind of a device, with what the topology says of it.
  func pciKind(of device: ResolvedDevice) -> PCIFunctionKind? {
    let model = builtIn.model(named: device.model)
    var kind = model?.kind(device.parameters) ?? plugins.pciKinds[device.model]
    if let reset = device.reset { kind?.description.reset = reset }
    if let rom = device.rom { kind?.description.rom = rom }
    return kind
  }

  func platformKind(named name: String) -> PlatformDeviceKind? {
    DeviceCatalogue.platformKinds[name] ?? plugins.platformKinds[name]
  }
}
