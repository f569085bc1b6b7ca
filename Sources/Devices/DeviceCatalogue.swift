public import DeviceKit

/// The kinds of device that come with the program, by name.
public enum DeviceCatalogue {
  public static let kinds: [String: PCIFunctionKind] = Dictionary(
    uniqueKeysWithValues: [Edu.kind, VirtioNet.kind].map { ($0.name, $0) })

  public static let platformKinds: [String: PlatformDeviceKind] = Dictionary(
    uniqueKeysWithValues: [PL081.kind].map { ($0.name, $0) })

  /// - Returns: nil when there is no kind of that name.
  public static func kind(named name: String) -> PCIFunctionKind? {
    kinds[name]
  }
}
