import DeviceKit
import TestSupport
import Testing
import VFIOCore

/// The numbers of group nodes.
struct NodeNumberTests {
  private let machine: Machine

  init() throws {
    machine = try Machine(populated: false)
    for slot in 1...3 { try add(slot) }
  }

  private func add(_ slot: Int) throws {
    try machine.add("0000:00:0\(slot).0", group: UInt32(240 + slot))
  }

  private func remove(_ slot: Int) throws {
    try machine.bus.remove(#require(PCIAddress("0000:00:0\(slot).0")))
  }

  private var minors: [UInt32?] { (1...4).map { machine.vfio.minor(of: id($0)) } }

  private func id(_ slot: Int) -> VFIOCore.GroupID {
    VFIOCore.GroupID(bus: "pci", number: UInt32(240 + slot))
  }

  @Test func stayWhenAnotherGroupGoes() throws {
    #expect(minors == [0, 1, 2, nil])
    try remove(1)
    #expect(minors == [nil, 1, 2, nil])
    #expect(machine.vfio.group(id(1)) == nil)
  }

  @Test func areTakenAgainLowestFirst() throws {
    try remove(2)
    try remove(1)
    try add(4)
    #expect(minors == [nil, nil, 2, 0])
    try add(1)
    #expect(minors == [1, nil, 2, 0])
  }

  @Test func aGroupThatIsOpenKeepsItsOwn() throws {
    let client = MemoryClient()
    let group = try client.open(machine.vfio, 241)
    try remove(1)
    #expect(minors[0] == 0)
    client.close(group)
    #expect(minors[0] == nil)
  }

  @Test func namesOfGroups() {
    #expect(VFIOCore.GroupID("pci:240") == id(0))
    #expect(VFIOCore.GroupID("a:b:3")?.bus == "a:b")
    for text in ["", "pci", "pci:", ":x", "pci:01", "pci:+1", "pci:4294967296", "240"] {
      #expect(VFIOCore.GroupID(text) == nil, "\(text)")
    }
  }
}
