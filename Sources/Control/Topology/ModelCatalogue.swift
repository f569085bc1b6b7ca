public import DeviceKit

extension Topology {
  /// The kinds of bus that a topology places devices on.
  public enum BusKind: String, Sendable, CaseIterable {
    case pci
    case platform
  }

  /// A plug-in that brings buses or device models of its own.
  public struct Plugin: Hashable, Sendable {
    /// The path of the shared object, from the working directory.
    public var file: String
    /// What it is started with.
    public var parameters: [String: String]

    public init(file: String, parameters: [String: String] = [:]) {
      self.file = file
      self.parameters = parameters
    }
  }
}

/// Who knows the device models that a topology may name.
public protocol ModelCatalogue {
  func models(on bus: Topology.BusKind) -> [String]

  /// What `params` may say of a device of this model.
  func parameters(of model: String) -> [DeviceParameter]

  /// Loads a plug-in, whose models are in the catalogue from then on.
  ///
  /// - Throws: an error whose description is one sentence without a full stop.
  mutating func load(_ plugin: Topology.Plugin) throws
}

extension ModelCatalogue {
  public func parameters(of model: String) -> [DeviceParameter] { [] }
}

/// Models that are known beforehand.
struct FixedModels: ModelCatalogue {
  var pci: [String]
  var platform: [String] = []
  var parameters: [String: [DeviceParameter]] = [:]

  struct NoPlugins: Error, CustomStringConvertible {
    var description: String { "plug-ins cannot be loaded here" }
  }

  func models(on bus: Topology.BusKind) -> [String] {
    switch bus {
    case .pci: pci
    case .platform: platform
    }
  }

  func parameters(of model: String) -> [DeviceParameter] { parameters[model] ?? [] }

  func load(_ plugin: Topology.Plugin) throws {
    throw NoPlugins()
  }
}
