import Yams

/// A field that a mapping of a file may have. The cases of an enum are the table of a mapping's
/// fields: a new field is a new case, and the line that reads it.
protocol YAMLField: RawRepresentable<String>, CaseIterable, Hashable {
  /// What a mapping with these fields is called: `a bridge`.
  static var owner: String { get }
  /// Names that are no fields here, but are where the writer may have meant to be.
  static var elsewhere: (owner: String, names: [String])? { get }
  /// What to write for the field, to go after "write".
  var form: String { get }
}

extension YAMLField {
  static var elsewhere: (owner: String, names: [String])? { nil }
}

/// A node of a YAML file together with where it is and what ought to be there.
struct YAMLValue {
  let node: Node
  let file: String
  /// `buses[0].devices[1].address`, empty for the whole document.
  let path: String
  let form: String

  var line: Int? { node.mark?.line }

  /// - Parameter remedy: nil for `form`.
  func error(_ problem: String, _ remedy: String? = nil) -> TopologyError {
    TopologyError(
      file: file, line: node.mark?.line, column: node.mark?.column,
      field: path.isEmpty ? nil : path, problem: "\(problem); \(remedy ?? "write " + form)")
  }

  /// The scalar as it is written. YAML's types play no part: 06, 1e.0 and 0000:06:0d.0 are texts, not
  /// numbers.
  func text() throws(TopologyError) -> String {
    guard case .scalar(let scalar) = node else { throw error("this is \(shape)") }
    guard !isEmpty else { throw error("nothing is here") }
    return scalar.string
  }

  /// The scalar as `read` understands it.
  ///
  /// - Parameter noun: what it is when `read` understands it: `a PCI address`.
  func value<T>(_ noun: String, _ read: (String) -> T?) throws(TopologyError) -> T {
    let text = try text()
    guard let value = read(text) else { throw error("\(quoted(text)) is not \(noun)") }
    return value
  }

  /// One of a few names.
  func choice<T: RawRepresentable<String> & CaseIterable>(
    _ noun: String, of type: T.Type
  ) throws(TopologyError) -> T {
    let text = try text()
    if let value = T(rawValue: text) { return value }
    throw unknownName(text, noun, known: T.allCases.map(\.rawValue))
  }

  /// What to say of a name that is none of `known`.
  func unknownName(_ text: String, _ noun: String, known: [String]) -> TopologyError {
    let remedy =
      if let near = nearestName(to: text, in: known) {
        "did you mean \(quoted(near))?"
      } else if known.isEmpty {
        "the daemon knows none"
      } else {
        "write \(listed(known, "or"))"
      }
    return error("\(quoted(text)) is not \(noun)", remedy)
  }

  /// The items of a list.
  ///
  /// - Parameter form: what to write for an item.
  func items(_ form: String) throws(TopologyError) -> [YAMLValue] {
    guard case .sequence(let items) = node else {
      throw error(isEmpty ? "nothing is here" : "this is \(shape)")
    }
    return items.enumerated().map { index, item in
      YAMLValue(node: item, file: file, path: "\(path)[\(index)]", form: form)
    }
  }

  /// The value of a mapping's field, before all of its fields are read; nil where there is none.
  func peek<Field: YAMLField>(_ field: Field) -> YAMLValue? {
    guard case .mapping(let pairs) = node,
      let value = pairs.first(where: { $0.key.scalar?.string == field.rawValue })?.value
    else { return nil }
    return named(field.rawValue, value, form: field.form)
  }

  /// The entries of a mapping whose names are up to whoever writes it.
  func entries() throws(TopologyError) -> [(name: YAMLValue, value: YAMLValue)] {
    guard case .mapping(let pairs) = node else {
      throw error(isEmpty ? "nothing is here" : "this is \(shape)")
    }
    return pairs.map { key, value in
      (
        YAMLValue(node: key, file: file, path: path, form: "a name"),
        named(key.scalar?.string ?? "", value, form: "a single value")
      )
    }
  }

  private func named(_ name: String, _ value: Node, form: String) -> YAMLValue {
    YAMLValue(
      node: value, file: file, path: path.isEmpty ? name : "\(path).\(name)", form: form)
  }

  /// Whether a mapping has a field of this name. False for what is no mapping.
  func hasField(_ name: String) -> Bool {
    guard case .mapping(let pairs) = node else { return false }
    return pairs.contains { $0.key.scalar?.string == name }
  }

  /// The fields of a mapping, each of them in `type` and there once.
  func fields<Field: YAMLField>(_ type: Field.Type) throws(TopologyError) -> YAMLFields<Field> {
    guard case .mapping(let pairs) = node else {
      throw error(isEmpty ? "nothing is here" : "this is \(shape)")
    }
    let known = Field.allCases.map(\.rawValue)
    var values: [Field: YAMLValue] = [:]
    for (key, value) in pairs {
      let name = key.scalar?.string ?? ""
      let place = YAMLValue(node: key, file: file, path: path, form: form)
      guard key.scalar != nil else {
        throw place.error("a field's name is one word", "write \(listed(known, "or"))")
      }
      guard let field = Field(rawValue: name) else {
        throw place.unknownField(name, of: type)
      }
      guard values[field] == nil else {
        throw place.error("\(quoted(name)) is here twice", "leave one out")
      }
      values[field] = named(name, value, form: field.form)
    }
    return YAMLFields(mapping: self, values: values)
  }

  /// The entries of a mapping whose names are no fields but known otherwise, each of them there once.
  ///
  /// - Parameters:
  ///   - known: for each name what to write for it.
  ///   - owner: what has these entries: `testdev`.
  func entries(
    _ known: [(name: String, form: String)], of owner: String
  ) throws(TopologyError) -> [(name: String, value: YAMLValue)] {
    guard case .mapping(let pairs) = node else {
      throw error(isEmpty ? "nothing is here" : "this is \(shape)")
    }
    var entries: [(name: String, value: YAMLValue)] = []
    for (key, value) in pairs {
      let name = key.scalar?.string ?? ""
      let named = YAMLValue(node: key, file: file, path: path, form: form)
      guard let entry = known.first(where: { $0.name == name }) else {
        let names = known.map(\.name)
        throw named.error(
          "\(quoted(name)) is not a parameter of \(owner)",
          nearestName(to: name, in: names).map { "did you mean \(quoted($0))?" }
            ?? (names.isEmpty ? "it has none" : "the parameters are \(listed(names))"))
      }
      guard !entries.contains(where: { $0.name == name }) else {
        throw named.error("\(quoted(name)) is here twice", "leave one out")
      }
      entries.append(
        (name, YAMLValue(node: value, file: file, path: "\(path).\(name)", form: entry.form)))
    }
    return entries
  }

  private func unknownField<Field: YAMLField>(_ name: String, of type: Field.Type) -> TopologyError
  {
    let known = Field.allCases.map(\.rawValue)
    let elsewhere = Field.elsewhere ?? (owner: "", names: [])
    if elsewhere.names.contains(name) {
      return error(
        "\(quoted(name)) is a field of \(elsewhere.owner), not of \(Field.owner)",
        "take it out or write what makes this \(elsewhere.owner)")
    }
    let near = nearestName(to: name, in: known + elsewhere.names)
    return error(
      "\(quoted(name)) is not a field of \(Field.owner)",
      near.map { "did you mean \(quoted($0))?" } ?? "the fields are \(listed(known))")
  }

  /// Whether nothing is written here: `devices:` and no more.
  private var isEmpty: Bool {
    guard case .scalar(let scalar) = node else { return false }
    return scalar.string.isEmpty && scalar.style == .plain
  }

  private var shape: String {
    switch node {
    case .scalar(let scalar): "the text \(quoted(scalar.string))"
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .alias: "an alias"
    }
  }
}

/// The fields of one mapping.
struct YAMLFields<Field: YAMLField> {
  let mapping: YAMLValue
  let values: [Field: YAMLValue]

  subscript(_ field: Field) -> YAMLValue? { values[field] }

  func required(_ field: Field) throws(TopologyError) -> YAMLValue {
    guard let value = values[field] else {
      throw mapping.error("\(field.rawValue) is missing", "write \(field.rawValue): \(field.form)")
    }
    return value
  }
}
