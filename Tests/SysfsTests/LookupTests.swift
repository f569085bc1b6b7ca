import DeviceKit
import SystemPackage
import Testing

@testable import Sysfs

/// Directories, symlinks and the walk through them.
struct LookupTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
  }

  @Test func directories() throws {
    let expected: [(path: String, names: [String])] = [
      ("", ["bus", "class", "devices", "module"]),
      ("bus", ["pci", "platform"]),
      ("bus/pci", ["devices", "drivers", "drivers_autoprobe", "drivers_probe", "rescan"]),
      (
        "bus/pci/devices",
        ["0000:00:02.0", "0000:00:03.0", "0000:00:1e.0", "0000:06:0d.0", "0000:06:0d.1"]
      ),
      ("bus/pci/drivers", ["e1000e", "edu", "vfio"]),
      (
        "bus/pci/drivers/edu",
        ["0000:06:0d.0", "0000:06:0d.1", "bind", "module", "new_id", "remove_id", "unbind"]
      ),
      (
        "bus/pci/drivers/vfio", ["0000:00:02.0", "bind", "module", "new_id", "remove_id", "unbind"]
      ),
      ("bus/pci/drivers/e1000e", ["bind", "module", "new_id", "remove_id", "unbind"]),
      ("class", ["vfio"]),
      ("class/vfio", ["pci:3", "pci:4", "pci:240"]),
      ("devices", ["pci0000:00", "platform", "virtual"]),
      ("devices/pci0000:00", ["0000:00:02.0", "0000:00:03.0", "0000:00:1e.0"]),
      ("devices/virtual", ["vfio"]),
      ("devices/virtual/vfio", ["pci:3", "pci:4", "pci:240"]),
      ("devices/virtual/vfio/pci:240", ["dev", "devices", "subsystem", "uevent"]),
      ("devices/virtual/vfio/pci:3", ["devices", "subsystem", "uevent"]),
      ("devices/virtual/vfio/pci:240/devices", ["0000:06:0d.0", "0000:06:0d.1"]),
      ("devices/virtual/vfio/pci:3/devices", ["0000:00:02.0"]),
      (
        "devices/pci0000:00/0000:00:1e.0",
        [
          "0000:06:0d.0", "0000:06:0d.1", "ari_enabled", "broken_parity_status", "class", "config",
          "consistent_dma_mask_bits", "d3cold_allowed", "device", "dma_mask_bits", "enable", "irq",
          "local_cpulist", "local_cpus", "modalias", "msi_bus", "numa_node", "power_state",
          "remove",
          "rescan", "resource", "revision", "secondary_bus_number", "subordinate_bus_number",
          "subsystem", "subsystem_device", "subsystem_vendor", "uevent", "vendor",
        ]
      ),
      (
        "devices/pci0000:00/0000:00:1e.0/0000:06:0d.0",
        [
          "ari_enabled", "broken_parity_status", "class", "config", "consistent_dma_mask_bits",
          "d3cold_allowed", "device", "dma_mask_bits", "driver", "driver_override", "enable",
          "iommu_group", "irq", "local_cpulist", "local_cpus", "modalias", "msi_bus", "numa_node",
          "power_state", "remove", "rescan", "reset", "resource", "resource0", "revision",
          "subsystem", "subsystem_device", "subsystem_vendor", "uevent", "vendor",
        ]
      ),
    ]
    for (path, names) in expected {
      #expect(try machine.ls(path) == names, "\(path)")
    }
  }

  /// Whatever a directory lists is there, all the way down; and every symlink leads somewhere.
  @Test(arguments: SysfsDialect.allCases)
  func whatIsListedIsThere(dialect: SysfsDialect) throws {
    let machine = try TestMachine(dialect)
    var count = 0
    func walk(_ place: [String]) throws {
      let node = try #require(machine.tree.lookup(place), "\(place)")
      count += 1
      switch node {
      case .directory(let directory):
        #expect(Set(directory.names).count == directory.names.count, "\(place)")
        for name in directory.names { try walk(place + [name]) }
      case .symlink(let target):
        let parent = Array(place.dropLast())
        let end = try machine.tree.resolve(target, from: parent)
        guard case .directory? = machine.tree.lookup(end) else {
          Issue.record("\(place) leads to no directory")
          return
        }
      case .file(let file):
        #expect(file.isReadable || file.isWritable)
      }
    }
    try walk([])
    #expect(count > 120)
  }

  @Test func symlinks() throws {
    let behind = "devices/pci0000:00/0000:00:1e.0/0000:06:0d.0"
    let expected: [(path: String, target: String, end: String)] = [
      (
        "bus/pci/devices/0000:06:0d.0",
        "../../../devices/pci0000:00/0000:00:1e.0/0000:06:0d.0", behind
      ),
      (
        "bus/pci/devices/0000:00:02.0", "../../../devices/pci0000:00/0000:00:02.0",
        "devices/pci0000:00/0000:00:02.0"
      ),
      (
        "bus/pci/devices/0000:00:1e.0", "../../../devices/pci0000:00/0000:00:1e.0",
        "devices/pci0000:00/0000:00:1e.0"
      ),
      (
        "bus/pci/drivers/edu/0000:06:0d.0",
        "../../../../devices/pci0000:00/0000:00:1e.0/0000:06:0d.0", behind
      ),
      ("\(behind)/driver", "../../../../bus/pci/drivers/edu", "bus/pci/drivers/edu"),
      ("\(behind)/subsystem", "../../../../bus/pci", "bus/pci"),
      (
        "devices/pci0000:00/0000:00:02.0/driver", "../../../bus/pci/drivers/vfio",
        "bus/pci/drivers/vfio"
      ),
      ("devices/pci0000:00/0000:00:1e.0/subsystem", "../../../bus/pci", "bus/pci"),
      (
        "devices/virtual/vfio/pci:240/devices/0000:06:0d.0",
        "../../../../pci0000:00/0000:00:1e.0/0000:06:0d.0", behind
      ),
      (
        "class/vfio/pci:240", "../../devices/virtual/vfio/pci:240",
        "devices/virtual/vfio/pci:240"
      ),
      ("devices/virtual/vfio/pci:240/subsystem", "../../../../class/vfio", "class/vfio"),
    ]
    for (path, target, end) in expected {
      #expect(try machine.readlink(path) == target, "\(path)")
      #expect(try machine.realpath(path) == end, "\(path)")
    }
  }

  @Test func aFunctionWithoutADriverHasNoSymlink() throws {
    #expect(!machine.exists("bus/pci/devices/\(TestMachine.free)/driver"))
    #expect(try !machine.ls("bus/pci/devices/\(TestMachine.free)").contains("driver"))
  }

  @Test(arguments: [
    "x", "bus/usb", "class/net", "kernel", "bus/pci/devices/0000:06:0d.2",
    // Not as the kernel spells it.
    "bus/pci/devices/0000:06:0D.0", "devices/pci0000:00/0000:06:0d.0", "devices/pci0000:06",
    "devices/pci0000:0", "devices/xci0000:00", "devices/pci0000:00/0000:00:1e.0/0000:00:02.0",
    "bus/pci/drivers/none", "bus/pci/drivers/edu/0000:00:02.0", "bus/pci/drivers/edu/x",
    "bus/pci/drivers/vfio/0000:00:1e.0", "class/vfio/240", "class/vfio/pci:5",
    "class/vfio/pci:0240", "class/vfio/pci:", "class/vfio/usb:240",
    "devices/virtual/vfio/pci:3/dev", "devices/virtual/vfio/pci:3/devices/0000:06:0d.0",
    "bus/pci/devices/0000:06:0d.0/resource1", "bus/pci/devices/0000:06:0d.0/x",
    "bus/pci/devices/0000:00:1e.0/driver_override", "bus/pci/devices/0000:00:1e.0/reset",
    "bus/pci/devices/0000:00:1e.0/iommu_group", "..", "bus/../..",
  ])
  func whatIsNotThere(path: String) {
    #expect(throws: Errno.noSuchFileOrDirectory) { try machine.tree.resolve(path) }
  }

  @Test func theWalk() throws {
    let tree = machine.tree
    let device = try tree.resolve("/bus/pci/devices/0000:06:0d.0/")
    #expect(try tree.resolve(".//driver/./..", from: device) == ["bus", "pci", "drivers"])
    #expect(try tree.resolve("../..", from: device) == ["devices", "pci0000:00"])
    #expect(try tree.resolve("driver", from: device, followsLast: false) == device + ["driver"])
    #expect(
      try tree.resolve("driver/bind", from: device, followsLast: false)
        == ["bus", "pci", "drivers", "edu", "bind"])
    #expect(try tree.resolve("", from: device) == device)
    #expect(throws: Errno.notDirectory) { try tree.resolve("vendor/x", from: device) }
    #expect(throws: Errno.notDirectory) { try tree.resolve("vendor/..", from: device) }
    #expect(tree.lookup(device + ["vendor", "x"]) == nil)
    #expect(tree.lookup(["bus", "pci", "devices", "0000:06:0d.0", "vendor"]) == nil)
  }

  @Test func symlinksEnd() throws {
    let round = Array(repeating: "driver/0000:06:0d.0", count: 20).joined(separator: "/")
    let device = try machine.tree.resolve("bus/pci/devices/0000:06:0d.0")
    #expect(try machine.tree.resolve(round, from: device) == device)
    #expect(throws: Errno.tooManySymbolicLinkLevels) {
      try machine.tree.resolve(round + "/driver", from: device)
    }
  }

  @Test func permissions() throws {
    let device = "bus/pci/devices/0000:06:0d.0"
    let expected: [(path: String, mode: CInterop.Mode)] = [
      ("bus", 0o755), (device, 0o755), ("\(device)/vendor", 0o444), ("\(device)/config", 0o644),
      ("\(device)/enable", 0o644),
      ("\(device)/driver_override", 0o644), ("\(device)/remove", 0o220),
      ("\(device)/resource0", 0o600), ("\(device)/uevent", 0o644), ("bus/pci/rescan", 0o200),
      ("bus/pci/drivers_probe", 0o200), ("bus/pci/drivers/vfio/bind", 0o200),
      ("bus/pci/drivers/vfio/unbind", 0o200), ("class/vfio/pci:240/dev", 0o444),
    ]
    for (path, mode) in expected {
      let node = try #require(machine.tree.lookup(try machine.tree.resolve(path)))
      #expect(node.permissions.rawValue == mode, "\(path)")
      // Nobody can do what the mode does not say.
      guard case .file(let file) = node else { continue }
      #expect(file.isReadable == (mode & 0o444 != 0), "\(path)")
      #expect(!file.isWritable || mode & 0o222 != 0, "\(path)")
    }
    #expect(machine.tree.lookup(["class", "vfio", "pci:3"])?.permissions.rawValue == 0o777)
    #expect(try machine.file("\(device)/vendor").size == 4096)
    #expect(try machine.file("\(device)/config").size == 256)
    #expect(try machine.file("\(device)/resource0").size == 1 << 20)
  }

  /// The tree is what the machine is now.
  @Test func functionsComeAndGo() throws {
    try machine.add("0001:00:00.0", group: 7, driver: .host("late"))
    #expect(try machine.ls("devices") == ["pci0000:00", "pci0001:00", "platform", "virtual"])
    #expect(try machine.ls("bus/pci/drivers") == ["e1000e", "edu", "late", "vfio"])
    #expect(
      try machine.realpath("class/vfio/pci:7/devices/0001:00:00.0")
        == "devices/pci0001:00/0001:00:00.0")
    try machine.bus.remove(#require(PCIAddress("0001:00:00.0")))
    #expect(try machine.ls("devices") == ["pci0000:00", "platform", "virtual"])
    #expect(!machine.exists("class/vfio/pci:7"))
  }
}
