/// A kind of PCI function that a topology can name.
public struct PCIFunctionKind: Sendable {
  /// The name in a topology file: `edu`.
  public var name: String
  public var description: PCIFunctionDescription
  /// Functions of one machine whose kinds name the same memory share it: BARs of the same number that are
  /// RAM have the same bytes.
  public var sharedMemory: String?
  public var make: @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel

  public init(
    name: String, description: PCIFunctionDescription, sharedMemory: String? = nil,
    make: @escaping @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel
  ) {
    self.name = name
    self.description = description
    self.sharedMemory = sharedMemory
    self.make = make
  }
}
