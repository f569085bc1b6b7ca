import SystemPackage

extension TopologyReader {
  /// Reads and loads the plug-ins, before anything is read that may name what they bring.
  static func plugins(
    _ root: YAMLValue, loadingInto catalogue: inout some ModelCatalogue
  ) throws(TopologyError) -> [Topology.Plugin] {
    var plugins: [Topology.Plugin] = []
    for item in try root.peek(TopologyField.plugins)?.items("file: and a path") ?? [] {
      let fields = try item.fields(PluginField.self)
      let file = try fields.required(.file)
      var plugin = Topology.Plugin(file: path(try file.text(), from: file.file))
      for (name, value) in try fields[.parameters]?.entries() ?? [] {
        plugin.parameters[try name.value("a parameter's name", parameterName)] = try value.text()
      }
      do {
        try catalogue.load(plugin)
      } catch {
        throw file.error("\(error)", "correct the plug-in or its parameters, or take it out")
      }
      plugins.append(plugin)
    }
    return plugins
  }

  /// A path in a file is from where the file is.
  private static func path(_ path: String, from file: String) -> String {
    let path = FilePath(path)
    return path.isAbsolute
      ? path.string : FilePath(file).removingLastComponent().pushing(path).string
  }
}

private func parameterName(_ text: String) -> String? {
  (1...64).contains(text.utf8.count) && text.allSatisfy(isNameLetter) ? text : nil
}

/// What names consist of: of parameters, and of platform devices.
func isNameLetter(_ letter: Character) -> Bool {
  letter.isASCII && (letter.isLetter || letter.isNumber || ".-_".contains(letter))
}
