import Testing

@testable import vfio_cused

/// What an inner `run` compares with the outer one's.
struct MachineOptionsTests {
  private static let options: [[String]] = [
    [], ["--auto-merge"], ["--ignore-memlock"], ["--dialect", "mainline"],
    ["--topology", "/a.yaml"], ["--topology", "/b.yaml"],
    ["--plugin", "/a.so"], ["--plugin", "/a.so", "--plugin", "/b.so"],
  ]

  @Test func everyOptionIsPartOfTheIdentity() throws {
    let identities = try Self.options.map { try MachineOptions.parse($0).identity }
    #expect(Set(identities).count == Self.options.count)
    // Another option has to be added above, and to the identity.
    #expect(Mirror(reflecting: try MachineOptions.parse([])).children.count == 5)
  }

  @Test func theSameFileByAnotherPathIsTheSame() throws {
    let one = try MachineOptions.parse(["--topology", "/etc/passwd"])
    let other = try MachineOptions.parse(["--topology", "/etc/../etc/passwd"])
    #expect(one.identity == other.identity)
  }
}
