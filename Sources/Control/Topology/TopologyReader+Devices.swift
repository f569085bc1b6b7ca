import DeviceKit
import SystemPackage

/// What every PCI device of a topology may have.
extension TopologyReader {
  func parameters(_ value: YAMLValue, of model: String) throws(TopologyError) -> DeviceParameters {
    let known = models.parameters(of: model)
    var given = DeviceParameters()
    for (name, value) in try value.entries(known.map { ($0.name, $0.description) }, of: model) {
      guard let parameter = known.first(where: { $0.name == name }) else { continue }
      given.values[name] = try value.value("what \(name) may be", parameter.value)
    }
    return given
  }

  /// The image in the file that `value` names, in the topology's folder where it has no other.
  func rom(_ value: YAMLValue) throws(TopologyError) -> [UInt8] {
    let path = FilePath(value.file).removingLastComponent().pushing(FilePath(try value.text()))
    let image: [UInt8]
    do throws(TopologyError) {
      image = try YAMLDocument.read(path)
    } catch {
      throw value.error("\(path) cannot be read", "name a file that the daemon may read")
    }
    guard image.count <= YAMLDocument.sizeLimit else {
      throw value.error("\(path) is larger than 4 MiB", "name a smaller one")
    }
    guard image.starts(with: [0x55, 0xaa]) else {
      throw value.error(
        "\(path) is not the image of an expansion ROM", "name one that begins with 55 aa")
    }
    return image
  }
}
