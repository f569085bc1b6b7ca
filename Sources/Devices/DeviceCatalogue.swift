public import DeviceKit

/// The device models that come with the program. One for each machine: its devices find each other in it.
public struct DeviceCatalogue: Sendable {
  /// Those of PCI, in the order of their names.
  public let models = [DeviceModel(Edu.kind), Ivshmem.model(), TestDevice.model, VirtioNet.model]

  public static let platformKinds: [String: PlatformDeviceKind] = Dictionary(
    uniqueKeysWithValues: [PL081.kind].map { ($0.name, $0) })

  public init() {}

  /// - Returns: nil when there is no model of that name for PCI.
  public func model(named name: String) -> DeviceModel? {
    models.first { $0.name == name }
  }
}
