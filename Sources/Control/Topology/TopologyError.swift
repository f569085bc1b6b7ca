/// What is wrong with a topology file, where, and what to write instead.
public struct TopologyError: Error, Hashable, Sendable {
  /// The file as the caller named it.
  public var file: String
  /// From 1; nil where the whole file is meant.
  public var line: Int?
  /// From 1, in Unicode scalars; nil where the whole line is meant.
  public var column: Int?
  /// The path of the field, `buses[0].devices[1].address`; nil where no field is meant.
  public var field: String?
  /// One sentence without a full stop.
  public var problem: String

  public init(
    file: String, line: Int? = nil, column: Int? = nil, field: String? = nil, problem: String
  ) {
    self.file = file
    self.line = line
    self.column = column
    self.field = field
    self.problem = problem
  }
}

extension TopologyError: CustomStringConvertible {
  /// `topology.yaml:12:16: buses[0].devices[1].address: "0000:06:0d.9" is not a PCI address; write …`
  public var description: String {
    let place = [file, line.map(String.init), column.map(String.init)]
    return [place.compactMap(\.self).joined(separator: ":"), field, problem]
      .compactMap(\.self).joined(separator: ": ")
  }
}
