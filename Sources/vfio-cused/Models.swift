import ArgumentParser
import Control
import DeviceKit
import Devices
import Logging
import PluginHost
import VFIOCore

/// The device models that a topology may name: those of the program and those of plug-ins.
struct Models: ModelCatalogue, Sendable {
  private var plugins: PluginHost

  init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    plugins = PluginHost(
      vfio: vfio, scheduler: scheduler, logger: logger,
      taken: Array(DeviceCatalogue.kinds.keys) + DeviceCatalogue.platformKinds.keys)
  }

  func models(on bus: Topology.BusKind) -> [String] {
    switch bus {
    case .pci: Array(DeviceCatalogue.kinds.keys) + plugins.pciKinds.keys
    case .platform: Array(DeviceCatalogue.platformKinds.keys) + plugins.platformKinds.keys
    }
  }

  mutating func load(_ plugin: Topology.Plugin) throws {
    try plugins.load(plugin.file, parameters: plugin.parameters)
  }

  func pciKind(named name: String) -> PCIFunctionKind? {
    DeviceCatalogue.kinds[name] ?? plugins.pciKinds[name]
  }

  func platformKind(named name: String) -> PlatformDeviceKind? {
    DeviceCatalogue.platformKinds[name] ?? plugins.platformKinds[name]
  }
}

extension PluginError {
  var exitCode: ExitCode { isMissing ? Sysexits.noInput : Sysexits.dataError }
}
