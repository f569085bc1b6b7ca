import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Accesses to registers that a client has mapped, as its transport brings them.
@Suite struct MappedRegisterTests {
  private let client = MemoryClient()
  private let maker = ModelDouble.Maker()
  private let machine: Machine
  private let file: any VFIOFile
  private var log: [String] { maker.model?.log.entries ?? [] }

  init() throws {
    machine = try Machine(populated: false)
    var whole = PCIFunctionDescription.double
    whole.takesQwords = true
    try machine.add("0000:07:00.0", group: 241, kind: maker.kind(whole))
    let (_, _, device) = try client.open(machine.vfio, 241, "0000:07:00.0")
    file = try #require(try client.file(device))
  }

  /// pread and pwrite would cut it in two.
  @Test func eightBytesReachTheModelAsOne() throws {
    #expect(try file.load(at: 0x10, width: .qword) == 0x1716_1514_1312_1110)
    try file.store(at: 4088, width: .qword, value: 0x1_0000_0002)
    #expect(log == ["r0 16 8", "w0 4088 8 100000002"])
  }

  @Test func eightBytesReachOtherModelsAsTwoOfFour() throws {
    let maker = ModelDouble.Maker()
    try machine.add("0000:08:00.0", group: 242, kind: maker.kind(.double))
    let (_, _, device) = try client.open(machine.vfio, 242, "0000:08:00.0")
    let file = try #require(try client.file(device))
    #expect(try file.load(at: 0x10, width: .qword) == 0x1716_1514_1312_1110)
    try file.store(at: 8, width: .qword, value: 0x1_0000_0002)
    #expect(maker.model?.log.entries == ["r0 16 4", "r0 20 4", "w0 8 4 2", "w0 12 4 1"])
  }

  /// A client can map more of its descriptor than a BAR has, where the kernel does not ask us.
  @Test(arguments: [4096, 4104, 1 << 40 - 8] as [UInt64], AccessWidth.allCases)
  func pastTheEndNothingReachesTheModel(offset: UInt64, width: AccessWidth) throws {
    #expect(
      errno { () throws(Errno) in _ = try file.load(at: offset, width: width) } == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try file.store(at: offset, width: width, value: 1) }
        == .invalidArgument)
    #expect(log == [])
  }
}
