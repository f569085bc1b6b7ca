/// A kind of PCI function that a topology can name.
public struct PCIFunctionKind: Sendable {
  /// The name in a topology file: `edu`.
  public var name: String
  public var description: PCIFunctionDescription
  public var make: @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel

  public init(
    name: String, description: PCIFunctionDescription,
    make: @escaping @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel
  ) {
    self.name = name
    self.description = description
    self.make = make
  }
}
