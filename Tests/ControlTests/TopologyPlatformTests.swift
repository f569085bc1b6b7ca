import Control
import DeviceKit
import SystemPackage
import Testing

@Suite struct TopologyPlatformTests {
  /// Knows some models, and a plug-in that brings one.
  private struct Catalogue: ModelCatalogue {
    struct NoSuchPlugin: Error, CustomStringConvertible {
      var description: String { "it is not there" }
    }

    var pci = ["edu"]
    var loaded: [Topology.Plugin] = []

    func models(on bus: Topology.BusKind) -> [String] {
      bus == .pci ? pci : ["pl081"]
    }

    mutating func load(_ plugin: Topology.Plugin) throws {
      guard plugin.file.hasSuffix("libgood.so") else { throw NoSuchPlugin() }
      loaded.append(plugin)
      pci.append("good")
    }
  }

  private func read(_ yaml: String, file: String = "t.yaml") throws(TopologyError) -> Topology {
    var catalogue = Catalogue()
    return try Topology(yaml: yaml.utf8, file: file, catalogue: &catalogue)
  }

  private func message(_ yaml: String) -> String? {
    do throws(TopologyError) {
      _ = try read(yaml)
      return nil
    } catch {
      return error.description
    }
  }

  private func platform(_ devices: String) -> String {
    "buses: [{bus: platform, devices: \(devices)}]"
  }

  @Test func devices() throws {
    let topology = try read(
      """
      buses:
        - bus: platform
          cache_coherent: false
          devices:
            - { name: b.dma, model: pl081, driver: none }
            - { name: 10.dma, model: pl081, group: 0 }
            - { name: a.dma, model: pl081 }
        - { bus: pci, root: 0000:00, devices: [{ address: 0000:00:01.0, model: edu }] }
      """)
    #expect(!topology.platform.isCacheCoherent)
    let resolved = topology.resolvedPlatformDevices()
    #expect(resolved.map(\.name) == ["10.dma", "a.dma", "b.dma"])
    // Past the number that one names itself, and apart from those of PCI.
    #expect(resolved.map(\.group) == [0, 1, 2])
    #expect(resolved.map(\.driver) == [.vfio, .vfio, .none])
    #expect(topology.resolvedDevices().map(\.group) == [0])
  }

  @Test(arguments: [
    (
      "[{name: a b, model: pl081}]",
      "\"a b\" is not a platform device's name; write a name of letters, digits, '.', '-' and '_', "
        + "such as 1c010000.dma"
    ),
    ("[{name: .., model: pl081}]", "\"..\" is not a platform device's name"),
    ("[{name: a, model: pl081}, {name: a, model: pl081}]", "\"a\" is in line 1 already"),
    ("[{name: a, model: pl08}]", "\"pl08\" is not a device model; did you mean \"pl081\"?"),
    (
      "[{name: a, model: edu}]",
      "\"edu\" is a device model of bus pci, not of platform; move the device there, or write pl081"
    ),
    (
      "[{nam: a, model: pl081}]",
      "\"nam\" is not a field of a platform device; did you mean \"name\"?"
    ),
    ("[{address: 0000:00:01.0, model: pl081}]", "\"address\" is a field of a device of PCI"),
    ("[{model: pl081}]", "name is missing; write name: a name"),
    ("[{name: a}]", "model is missing"),
    ("[{name: a, model: pl081, group: -1}]", "\"-1\" is not a group number"),
  ])
  func errors(devices: String, words: String) throws {
    let said = try #require(message(platform(devices)))
    #expect(said.contains("buses[0].devices[") && said.contains(words), "\(said)")
  }

  @Test func busErrors() throws {
    let twice = try #require(message("buses: [{bus: platform}, {bus: platform}]"))
    #expect(twice.contains("buses[1]: the platform bus is in line 1 already"))
    let root = try #require(message("buses: [{bus: platform, root: 0000:00}]"))
    #expect(root.contains("\"root\" is a field of a root bus of PCI, not of the platform bus"))
    let near = try #require(message("buses: [{bus: platfrom}]"))
    #expect(near.contains("\"platfrom\" is not a kind of bus; did you mean \"platform\"?"))
  }

  @Test func plugins() throws {
    let yaml =
      "plugins: [{file: lib/libgood.so, parameters: {count: 007, who: me}}, {file: /x/libgood.so}]\n"
      + "buses: [{bus: pci, root: 0000:00, devices: [{address: 0000:00:01.0, model: good}]}]"
    let topology = try read(yaml, file: "/etc/machine.yaml")
    // A path is from where the file is; a value is as it is written.
    #expect(
      topology.plugins == [
        .init(file: "/etc/lib/libgood.so", parameters: ["count": "007", "who": "me"]),
        .init(file: "/x/libgood.so"),
      ])
    #expect(topology.resolvedDevices().map(\.model) == ["good"])
    #expect(try read("plugins: [{file: libgood.so}]").buses.isEmpty)
  }

  @Test(arguments: [
    ("[{file: libbad.so}]", "t.yaml:1:18: plugins[0].file: it is not there; correct"),
    ("[{file: []}]", "plugins[0].file: this is a list; write the path of a shared object"),
    ("[{parameters: {}}]", "plugins[0]: file is missing"),
    ("[{file: libgood.so, parameter: {}}]", "did you mean \"parameters\"?"),
    ("[{file: libgood.so, parameters: 1}]", "plugins[0].parameters: this is the text \"1\""),
    ("[{file: libgood.so, parameters: {a: [1]}}]", "plugins[0].parameters.a: this is a list"),
    ("[{file: libgood.so, parameters: {a b: 1}}]", "\"a b\" is not a parameter's name"),
    ("libgood.so", "plugins: this is the text \"libgood.so\"; write a list of plug-ins"),
  ])
  func pluginErrors(plugins: String, words: String) throws {
    let said = try #require(message("plugins: \(plugins)\nbuses: []"))
    #expect(said.contains(words), "\(said)")
  }
}
