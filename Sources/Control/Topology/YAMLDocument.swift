import SystemPackage
import Yams

/// A YAML file, read and composed, and nothing known of its meaning.
enum YAMLDocument {
  /// Larger files are refused: a topology of 1,000 devices takes about 100 KiB, and the nodes of a file
  /// may take a hundred times its size.
  static let sizeLimit = 4 << 20

  static func read(_ path: FilePath) throws(TopologyError) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
      return try file.closeAfter { try bytes(of: file) }
    } catch let errno as Errno {
      throw TopologyError(
        file: path.string,
        problem: "the file cannot be read (\(errno)); name one that the daemon may read")
    } catch {
      throw TopologyError(file: path.string, problem: "the file cannot be read (\(error))")
    }
  }

  /// At most one byte more than `sizeLimit`, for `compose` to refuse.
  private static func bytes(of file: FileDescriptor) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count <= sizeLimit {
      // SAFETY: the array's own storage, for the length of the call.
      let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
      guard count > 0 else { break }
      bytes += chunk[..<min(count, sizeLimit + 1 - bytes.count)]
    }
    return bytes
  }

  /// - Returns: the root of the only document in `bytes`.
  static func compose(
    _ bytes: [UInt8], file: String, form: String
  ) throws(TopologyError) -> YAMLValue {
    guard bytes.count <= sizeLimit else {
      throw TopologyError(
        file: file, problem: "the file is larger than 4 MiB; write a smaller one")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      let bad = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
      throw TopologyError(
        file: file, line: bad.map { $0 + 1 },
        problem: "this is not UTF-8; save the file as UTF-8")
    }
    try checkAnchors(in: bytes, file: file)
    do {
      // Without rules every scalar stays the text it is, and no time goes into guessing its type.
      let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
      let root = try parser.nextRoot()
      guard let root, !isEmpty(root) else {
        throw TopologyError(file: file, problem: "the file is empty; write \(form)")
      }
      if let next = try parser.nextRoot() {
        throw TopologyError(
          file: file, line: next.mark?.line, column: next.mark?.column,
          problem: "a second YAML document starts here; write one document in a file")
      }
      return YAMLValue(node: root, file: file, path: "", form: form)
    } catch let error as YamlError {
      throw TopologyError(error, file: file)
    } catch let error as TopologyError {
      throw error
    } catch {
      throw TopologyError(file: file, problem: "the file cannot be read (\(error))")
    }
  }

  private static func isEmpty(_ root: Node) -> Bool {
    guard case .scalar(let scalar) = root else { return false }
    return scalar.string.isEmpty
  }
}

extension TopologyError {
  /// What libyaml says, in one line and with its place.
  init(_ error: YamlError, file: String) {
    switch error {
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      // Yams 6 hands out marks that count from 1.
      let during = context.map { " (\($0.text), line \($0.mark.line))" } ?? ""
      self.init(
        file: file, line: mark.line, column: mark.column,
        problem: "this is not YAML: \(problem)\(during); correct the line or its indentation")
    case .reader(let problem, let offset, _, let yaml):
      let line = offset.map { yaml.prefix($0).count(where: \.isNewline) + 1 }
      self.init(
        file: file, line: line, problem: "this is not YAML: \(problem); take the character out")
    case .duplicatedKeysInMapping(let duplicates, let context):
      self.init(
        file: file, line: context.mark.line, column: context.mark.column,
        problem: "\(listed(duplicates.map(quoted))) is here twice; leave one out")
    default:
      self.init(file: file, problem: "the file cannot be read (\(error))")
    }
  }
}
