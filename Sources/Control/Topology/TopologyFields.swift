/// The fields of the whole file.
enum TopologyField: String, YAMLField {
  case iommu, plugins, buses

  static let owner = "a topology"

  var form: String {
    switch self {
    case .iommu: "a mapping of options, such as group_mf: true"
    case .plugins: "a list of plug-ins, such as - file: ./libmybus.so"
    case .buses: "a list of root buses"
    }
  }
}

enum IOMMUField: String, YAMLField {
  case groupMultiFunction = "group_mf"
  case merge
  case iova, reserved
  case pageSizes = "page_sizes"
  case mappings, dirty

  static let owner = "iommu"

  var form: String {
    switch self {
    case .groupMultiFunction: "true or false"
    case .merge: "never, similar or any"
    case .iova, .reserved:
      "a list of ranges in hexadecimal, of whole pages of 4 KiB, such as [0x0-0xfedfffff]"
    case .pageSizes: "a list of powers of two from 4K up, such as [4K, 2M, 1G]"
    case .mappings: "a decimal number from 1 to 4294967295, without leading zeros"
    case .dirty: "exact or all"
    }
  }
}

enum RootBusField: String, YAMLField {
  case bus, root, devices
  case cacheCoherent = "cache_coherent"

  static let owner = "a root bus"

  var form: String {
    switch self {
    case .bus: busForm
    case .root: "domain:bus in hexadecimal, such as 0000:00"
    case .devices: "a list of bridges and devices"
    case .cacheCoherent: "true or false"
    }
  }
}

enum BridgeField: String, YAMLField {
  case address, bridge, secondary, id, revision, devices

  static let owner = "a bridge"

  var form: String {
    switch self {
    case .address: addressForm
    case .bridge: "the kind of bridge, such as pci"
    case .secondary: "the number of the bus behind the bridge in two hexadecimal digits, such as 06"
    case .id: "vendor:device in hexadecimal, such as 8086:244e"
    case .revision: "two hexadecimal digits, such as 90"
    case .devices: "a list of bridges and devices"
    }
  }
}

enum DeviceField: String, YAMLField {
  case address, model, params, group, iommu, driver, reset, rom

  static let owner = "a device"

  static var elsewhere: (owner: String, names: [String])? {
    (BridgeField.owner, BridgeField.allCases.map(\.rawValue))
  }

  var form: String {
    switch self {
    case .address: addressForm
    case .model: "the name of a device model"
    case .params: "a mapping of the model's parameters"
    case .group: "a decimal number from 0 to 4294967295, without leading zeros"
    case .iommu: "true or false"
    case .driver: "vfio, none or the name of a host driver"
    case .reset: "none, flr, pm or bus"
    case .rom: "the name of a file"
    }
  }
}

enum PluginField: String, YAMLField {
  case file, parameters

  static let owner = "a plug-in"

  var form: String {
    switch self {
    case .file: "the path of a shared object, from where this file is, such as ./libmybus.so"
    case .parameters: "a mapping of the plug-in's own parameters to single values"
    }
  }
}

enum PlatformBusField: String, YAMLField {
  case bus
  case cacheCoherent = "cache_coherent"
  case devices

  static let owner = "the platform bus"

  static var elsewhere: (owner: String, names: [String])? {
    (RootBusField.owner + " of PCI", RootBusField.allCases.map(\.rawValue))
  }

  var form: String {
    switch self {
    case .bus: busForm
    case .cacheCoherent: RootBusField.cacheCoherent.form
    case .devices: "a list of devices"
    }
  }
}

enum PlatformDeviceField: String, YAMLField {
  case name, model, group, driver

  static let owner = "a platform device"

  static var elsewhere: (owner: String, names: [String])? {
    (DeviceField.owner + " of PCI", DeviceField.allCases.map(\.rawValue))
  }

  var form: String {
    switch self {
    case .name: "a name of letters, digits, '.', '-' and '_', such as 1c010000.dma"
    case .model: DeviceField.model.form
    case .group: DeviceField.group.form
    case .driver: DeviceField.driver.form
    }
  }
}

private let busForm = "pci or platform"

private let addressForm =
  "domain:bus:device.function in hexadecimal, device 00 to 1f, function 0 to 7, "
  + "such as 0000:06:0d.0"
