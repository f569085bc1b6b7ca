import Testing

@testable import CUSETransport

@Suite struct DeviceNumberTests {
  @Test func aFreeMajorIsOneThatNobodyHas() throws {
    let major = try DeviceNumbers.freeMajor()
    #expect((234...254).contains(major) || (384...511).contains(major))
    let text = "Character devices:\n  1 mem\n511 x\n\nBlock devices:\n254 y\n"
    #expect(DeviceNumbers.majors(of: text) == [1, 511])
  }
}
