public import DeviceKit

/// The device models that come with the program. One for each machine: its devices find each other in it.
public struct DeviceCatalogue: Sendable {
  /// In the order of their names.
  public let models: [DeviceModel]

  public init() {
    models = [DeviceModel(Edu.kind), Ivshmem.model(), TestDevice.model]
  }

  /// - Returns: nil when there is no model of that name.
  public func model(named name: String) -> DeviceModel? {
    models.first { $0.name == name }
  }
}
