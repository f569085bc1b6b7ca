import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOCore

@testable import Sysfs

/// What the files of functions and bridges say.
struct DeviceFileTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
  }

  private func device(_ name: String, _ file: String) -> String {
    "bus/pci/devices/\(name)/\(file)"
  }

  @Test func aFunction() throws {
    let expected = [
      "vendor": "0x1234\n", "device": "0x11e8\n", "subsystem_vendor": "0x1af4\n",
      "subsystem_device": "0x1100\n", "class": "0x00ff00\n", "revision": "0x10\n", "irq": "19\n",
      "iommu_group": "240\n", "driver_override": "(null)\n", "numa_node": "-1\n",
      "local_cpus": "3\n", "local_cpulist": "0-1\n", "enable": "1\n",
      "modalias": "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00\n",
      "uevent": """
      DRIVER=edu
      PCI_CLASS=FF00
      PCI_ID=1234:11E8
      PCI_SUBSYS_ID=1AF4:1100
      PCI_SLOT_NAME=0000:06:0d.0
      MODALIAS=pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00

      """,
      "resource": """
      0x00000000c0000000 0x00000000c00fffff 0x0000000000040200
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x0000000000000000 0x0000000000000000 0x0000000000000000

      """,
    ]
    for (file, text) in expected {
      #expect(try machine.cat(device(TestMachine.first, file)) == text, "\(file)")
    }
  }

  @Test func aFunctionOfPCIExpressWithAROM() throws {
    let address = "0000:00:07.0"
    try machine.add(address, group: 7, driver: .none, kind: TestDevice.model.kind([:]))
    #expect(try machine.file(device(address, "config")).size == 4096)
    let lines = try machine.cat(device(address, "resource")).split(separator: "\n")
    #expect(lines.count == 7)
    #expect(lines.last?.hasSuffix("fff 0x0000000000046200") == true)
  }

  /// Memory is mapped and nothing else (`sysfs_kf_bin_read`).
  @Test func memoryOfAFunction() throws {
    let file = try machine.file(device(TestMachine.onRoot, "resource0"))
    let read = try #require(file.readPart)
    let write = try #require(file.writePart)
    #expect(throws: Errno.ioError) { try read(0, 4) }
    #expect(throws: Errno.ioError) { try read(4094, 4) }
    #expect(try read(0, 0) == [])
    #expect(try read(4096, 4) == [])
    #expect(throws: Errno.ioError) { try write(0, [0, 0, 0, 0]) }
    #expect(throws: Errno.fileTooLarge) { try write(4096, [0]) }
    let registers = try #require(file.registers)
    #expect(registers.size == 4096)
    #expect(registers.load(0, .dword) == 0)
    // Where nothing decodes it, nothing answers.
    try machine.poke(device(TestMachine.onRoot, "config"), 4, [0, 0])
    #expect(registers.load(0, .dword) == .max)
    #expect(!machine.exists(device(TestMachine.onRoot, "resource0_wc")))
    #expect(try machine.file(device(TestMachine.onRoot, "resource2_wc")).registers != nil)
  }

  /// Ports are read and written in 1, 2 or 4 bytes (`pci_resource_io`).
  @Test func portsOfAFunction() throws {
    let file = try machine.file(device(TestMachine.onRoot, "resource1"))
    let read = try #require(file.readPart)
    let write = try #require(file.writePart)
    #expect(file.registers == nil)
    try machine.poke(device(TestMachine.onRoot, "config"), 4, [0, 0])
    #expect(try read(0, 4) == [0xff, 0xff, 0xff, 0xff])
    try machine.poke(device(TestMachine.onRoot, "config"), 4, [1, 0])
    for count in [1, 2, 4] { #expect(try read(1, count) == Array(repeating: 0, count: count)) }
    for count in [3, 8] {
      #expect(throws: Errno.invalidArgument) { try read(0, count) }
      #expect(throws: Errno.invalidArgument) { try write(0, Array(repeating: 0, count: count)) }
    }
    #expect(try read(30, 4).count == 2)
    #expect(try read(32, 4) == [])
    #expect(try write(0, [1, 2, 3, 4]) == 4)
    #expect(throws: Errno.fileTooLarge) { try write(32, [0]) }
  }

  @Test func aFunctionWithEverything() throws {
    let expected = [
      "vendor": "0x1111\n", "device": "0x2a2a\n", "subsystem_vendor": "0x3333\n",
      "subsystem_device": "0x4b4b\n", "class": "0x0201ab\n", "revision": "0x03\n",
      "iommu_group": "3\n",
      "modalias": "pci:v00001111d00002A2Asv00003333sd00004B4Bbc02sc01iAB\n",
      "resource": """
      0x00000000c0200000 0x00000000c0200fff 0x0000000000040200
      0x0000000000001000 0x000000000000101f 0x0000000000040101
      0x0000004000000000 0x00000041ffffffff 0x000000000014220c
      0x0000000000000000 0x0000000000000000 0x0000000000000000
      0x00000000c0201000 0x00000000c020101f 0x0000000000042208
      0x0000000000000000 0x000000007fffffff 0x0000000020040200
      0x0000000000000000 0x0000000000000000 0x0000000000000000

      """,
    ]
    for (file, text) in expected {
      #expect(try machine.cat(device(TestMachine.onRoot, file)) == text, "\(file)")
    }
    let sizes: [String: UInt64] = [
      "resource0": 4096, "resource1": 32, "resource2": 1 << 33, "resource4": 32,
      "resource5": 1 << 31,
    ]
    for (file, size) in sizes {
      #expect(try machine.file(device(TestMachine.onRoot, file)).size == size)
    }
    #expect(!machine.exists(device(TestMachine.onRoot, "resource3")))
    let uevent = try machine.cat(device(TestMachine.onRoot, "uevent"))
    #expect(uevent.hasPrefix("DRIVER=vfio\nPCI_CLASS=201AB\nPCI_ID=1111:2A2A\n"))
    let free = try machine.cat(device(TestMachine.free, "uevent"))
    #expect(free.hasPrefix("PCI_CLASS=201AB\n"))
  }

  @Test func aBridge() throws {
    let expected = [
      "vendor": "0x8086\n", "device": "0x244e\n", "subsystem_vendor": "0x0000\n",
      "subsystem_device": "0x0000\n", "class": "0x060400\n", "revision": "0x90\n", "irq": "0\n",
      "numa_node": "-1\n", "local_cpus": "3\n", "enable": "1\n",
      "modalias": "pci:v00008086d0000244Esv00000000sd00000000bc06sc04i00\n",
      "uevent": """
      PCI_CLASS=60400
      PCI_ID=8086:244E
      PCI_SUBSYS_ID=0000:0000
      PCI_SLOT_NAME=0000:00:1e.0
      MODALIAS=pci:v00008086d0000244Esv00000000sd00000000bc06sc04i00

      """,
    ]
    for (file, text) in expected {
      #expect(try machine.cat(device(TestMachine.bridge, file)) == text, "\(file)")
    }
    let resource = try machine.cat(device(TestMachine.bridge, "resource"))
    #expect(
      resource.split(separator: "\n").enumerated().filter { !$1.hasSuffix("0x0000000000000000") }
        .map { "\($0) \($1)" } == [
          "8 0x00000000c0000000 0x00000000c01fffff 0x0000000000000200"
        ])
    #expect(resource.split(separator: "\n").count == 11)
    let config = try machine.read(device(TestMachine.bridge, "config"))
    #expect(config.count == 256)
    #expect(config[..<16] == [0x86, 0x80, 0x4e, 0x24, 7, 0, 0, 0, 0x90, 0, 4, 6, 0, 0, 1, 0])
    #expect(
      config[0x18..<0x28]
        == [0, 6, 6, 0, 0xf0, 0, 0, 0, 0x00, 0xc0, 0x10, 0xc0, 0xf1, 0xff, 0x01, 0])
    // Hard-wired, all of it.
    let write = try #require(try machine.file(device(TestMachine.bridge, "config")).writePart)
    #expect(try write(0x18, [9, 9, 9]) == 3)
    #expect(try write(255, [9, 9]) == 1)
    #expect(try machine.read(device(TestMachine.bridge, "config")) == config)
  }

  @Test func bridgesInARow() throws {
    let machine = try TestMachine(populated: false)
    let tree = machine.tree
    try machine.add(bridge: "0000:00:01.0", 1)
    try machine.add(bridge: "0000:01:00.0", 2)
    try machine.add(bridge: "0000:02:00.0", 9)
    try machine.add(bridge: "0000:02:01.0", 4)
    try machine.add("0000:09:00.0", group: 1, driver: .none)
    let place = try tree.resolve("bus/pci/devices/0000:09:00.0")
    let path = "devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:09:00.0"
    #expect(place.joined(separator: "/") == path)
    #expect(tree.lookup(place + ["vendor"]) != nil)
    let subordinates = ["0000:00:01.0": 9, "0000:01:00.0": 9, "0000:02:01.0": 4]
    for (name, number) in subordinates {
      let config = try tree.resolve("bus/pci/devices/\(name)/config")
      guard case .file(let file)? = tree.lookup(config), let read = file.read else {
        Issue.record("\(name) has no config")
        continue
      }
      #expect(try read()[0x1a] == UInt8(number), "\(name)")
    }
    #expect(try machine.cat(device("0000:01:00.0", "secondary_bus_number")) == "2\n")
    #expect(try machine.cat(device("0000:01:00.0", "subordinate_bus_number")) == "9\n")
  }

  /// Configuration space and `enable` follow what a client does.
  @Test func filesAreLive() throws {
    let config = try machine.read(device(TestMachine.onRoot, "config"))
    #expect(config.count == 256)
    #expect(config[..<4] == [0x11, 0x11, 0x2a, 0x2a])
    #expect(config[0x10..<0x14] == [0x00, 0x00, 0x20, 0xc0])
    #expect(try machine.cat(device(TestMachine.onRoot, "enable")) == "0\n")
    let use = try ClientDouble().use(machine, 3, device: TestMachine.onRoot)
    #expect(try machine.cat(device(TestMachine.onRoot, "enable")) == "1\n")
    // The interrupt line register, on the last of the opened files.
    let opened = try #require(use.files.last)
    try [UInt8(11)].withUnsafeBytes { bytes in
      _ = try opened.write(at: 7 << 40 | 0x3c, from: bytes)
    }
    #expect(try machine.read(device(TestMachine.onRoot, "config"))[0x3c] == 11)
    #expect(try machine.cat(device(TestMachine.onRoot, "irq")) == "19\n")
    use.end()
    #expect(try machine.cat(device(TestMachine.onRoot, "enable")) == "0\n")
    #expect(try machine.cat(device(TestMachine.free, "enable")) == "0\n")
  }

  @Test func windowsOfBridgesInARow() throws {
    let machine = try TestMachine(populated: false)
    try machine.add(bridge: "0000:00:01.0", 1)
    try machine.add(bridge: "0000:01:00.0", 2)
    try machine.add(bridge: "0000:01:01.0", 3)
    try machine.add("0000:00:05.0", group: 1, driver: .none)
    try machine.add("0000:02:00.0", group: 2, driver: .none, kind: TestMachine.everything)
    let windows = try ["0000:00:01.0", "0000:01:00.0", "0000:01:01.0"].map { name in
      let address = try #require(PCIAddress(name))
      return machine.bus.windows(of: try #require(machine.bus.bridge(at: address)))
    }
    #expect(windows[0] == windows[1])
    #expect(windows[0].io == 0x1000...0x1fff)
    #expect(windows[0].memory == 0xc010_0000...0xc01f_ffff)
    #expect(windows[0].prefetchable == 0x40_0000_0000...0x41_ffff_ffff)
    #expect(windows[2] == PCIBridgeWindows())
    let config = try machine.read(device("0000:00:01.0", "config"))
    #expect(config[0x1c..<0x1e] == [0x10, 0x10])
    #expect(config[0x20..<0x24] == [0x10, 0xc0, 0x10, 0xc0])
    #expect(
      config[0x24..<0x30] == [1, 0, 0xf1, 0xff, 0x40, 0, 0, 0, 0x41, 0, 0, 0])
    let lines = try machine.cat(device("0000:00:01.0", "resource")).split(separator: "\n")
    #expect(lines[7] == "0x0000000000001000 0x0000000000001fff 0x0000000000000101")
    #expect(lines[9] == "0x0000004000000000 0x00000041ffffffff 0x0000000000102201")
  }

  /// `setpci`: what is there of a bit can be written, and BARs can be sized.
  @Test func configIsWritten() throws {
    let path = device(TestMachine.free, "config")
    let write = try #require(try machine.file(path).writePart)
    #expect(try write(0x04, [0x06, 0x04]) == 2)
    #expect(try machine.read(path)[0x04..<0x06] == [0x06, 0x04])
    // The last byte before the BARs, the first of them.
    #expect(try write(0x0f, [0xff, 0xff, 0xff, 0xff, 0xff]) == 5)
    #expect(try machine.read(path)[0x0f..<0x14] == [0, 0x00, 0xf0, 0xff, 0xff])
    #expect(try write(0x00, [1, 2]) == 2)
    #expect(try machine.read(path)[0x00..<0x02] == [0x11, 0x11])
    #expect(try write(254, [1, 2, 3]) == 2)
    #expect(try machine.read(path)[254...] == [1, 2])
    #expect(try write(256, [1]) == 0)
    try machine.bus.remove(#require(PCIAddress(TestMachine.free)))
    #expect(throws: Errno.operationNotSupportedByDevice) { try write(4, [0]) }
  }

  /// What the host wrote to a BAR is none of a client's business, nor the other way round.
  @Test func aClientsBARsAreItsOwn() throws {
    let path = device(TestMachine.onRoot, "config")
    try machine.poke(path, 0x10, [0, 0, 0xaa, 0xbb])
    let use = try ClientDouble().use(machine, 3, device: TestMachine.onRoot)
    defer { use.end() }
    let opened = try #require(use.files.last)
    var bytes: [UInt8] = [0, 0, 0, 0]
    _ = try bytes.withUnsafeMutableBytes { try opened.read(at: 7 << 40 | 0x10, into: $0) }
    #expect(bytes == [0x00, 0x00, 0x20, 0xc0])
    #expect(try machine.read(path)[0x10..<0x14] == [0, 0, 0xaa, 0xbb])
  }

  @Test func enabling() throws {
    let enable = device(TestMachine.free, "enable")
    #expect(try machine.echoError("0", enable) == .ioError)
    #expect(try machine.echoError("x", enable) == .invalidArgument)
    let config = device(TestMachine.free, "config")
    try machine.poke(config, 0x04, [0, 0])
    try machine.echo("1", enable)
    try machine.echo("1", enable)
    #expect(try machine.cat(enable) == "2\n")
    #expect(try machine.read(config)[0x04] == 0x03)
    try machine.poke(config, 0x04, [0x07])
    try machine.echo("0", enable)
    #expect(try machine.read(config)[0x04] == 0x07)
    try machine.echo("0", enable)
    #expect(try machine.cat(enable) == "0\n")
    #expect(try machine.read(config)[0x04] == 0x03)
    #expect(try machine.echoError("1", device(TestMachine.first, "enable")) == .resourceBusy)
    #expect(try machine.echoError("0", device(TestMachine.onRoot, "enable")) == .resourceBusy)
  }

  /// As an open file outlives its device.
  @Test func filesOfAFunctionThatIsGone() throws {
    let names = ["config", "irq", "enable", "driver_override", "uevent"]
    let files = try names.map { try machine.file(device(TestMachine.first, $0)) }
    let override = try machine.file(device(TestMachine.first, "driver_override"))
    let remove = try machine.file(device(TestMachine.first, "remove"))
    try machine.bus.remove(#require(PCIAddress(TestMachine.first)))
    for (name, file) in zip(names, files) {
      let read = try #require(file.read)
      #expect(errno(read) == .operationNotSupportedByDevice, "\(name)")
    }
    for file in [override, remove] {
      let write = try #require(file.write)
      #expect(throws: Errno.operationNotSupportedByDevice) { try write(Array("1\n".utf8)) }
    }
  }

  @Test func anExpansionROM() throws {
    var kind = TestMachine.everything
    kind.description.rom = [0x55, 0xaa, 1, 2, 3]
    try machine.add("0000:00:05.0", group: 5, driver: .none, kind: kind)
    let rom = device("0000:00:05.0", "rom")
    #expect(try machine.file(rom).size == 2048)
    #expect(throws: Errno.invalidArgument) { try machine.read(rom) }
    try machine.echo("1", rom)
    #expect(try machine.read(rom) == [0x55, 0xaa, 1, 2, 3])
    try machine.echo("0", rom)
    #expect(throws: Errno.invalidArgument) { try machine.read(rom) }
    let line = try machine.cat(device("0000:00:05.0", "resource")).split(separator: "\n")[6]
    #expect(line.hasSuffix(" 0x0000000000046200"))
    #expect(!machine.exists(device(TestMachine.first, "rom")))
  }

  @Test func processorSets() {
    #expect([1, 2, 4, 31, 32].map(ProcessorSet.mask) == ["1", "3", "f", "7fffffff", "ffffffff"])
    #expect(ProcessorSet.mask(33) == "1,ffffffff")
    #expect(ProcessorSet.mask(72) == "ff,ffffffff,ffffffff")
    #expect(ProcessorSet.mask(0) == "0")
    #expect([0, 1, 2, 72].map(ProcessorSet.list) == ["", "0", "0-1", "0-71"])
  }

  @Test(arguments: [
    "bus/pci/devices/0000:06:0d.0", "bus/pci/devices/0000:00:1e.0", "class/vfio/pci:3",
  ])
  func events(path: String) throws {
    for text in ["add", "change", "remove", "bind", "add 5d3a8f2e-0001-0000-0000-000000000000"] {
      #expect(try machine.echoError(text, "\(path)/uevent") == nil, "\(text)")
    }
    for text in ["", "dance", "addx"] {
      #expect(try machine.echoError(text, "\(path)/uevent") == .invalidArgument, "\(text)")
    }
  }
}
