import Sysfs
import SystemPackage
import VFIOCore

/// `/sys` of the emulated machine, beside the real one.
struct SysDirectory: EmulatedTree {
  /// Names that a client can use relative to a directory of the machine's own.
  private static let names: Set<Substring> = [
    "sys", "bus", "pci", "platform", "devices", "drivers", "class", "vfio", "vfio-pci",
    "vfio-platform", "virtual", "kernel", "iommu_groups",
  ]

  let tree: SysfsTree

  func mayContain(_ name: Substring) -> Bool {
    // Devices, buses and groups have colons or are numbers.
    Self.names.contains(name) || name.contains(":") || name.allSatisfy(\.isNumber)
      || tree.hasDevice(named: String(name))
  }

  var root: EmulatedDirectory { .beside("sys", EmulatedDirectory(tree.root)) }
}

extension EmulatedDirectory {
  fileprivate init(_ directory: SysfsDirectory) {
    self.init(
      isWhole: !directory.isShared, names: { directory.names },
      child: { name in
        switch directory[name] {
        case nil: nil
        case .directory(let inner): .directory(EmulatedDirectory(inner))
        case .symlink(let target): .link(target)
        case .file(let file): .file(EmulatedFile(file))
        }
      })
  }
}

extension EmulatedFile {
  /// Permissions are those of sysfs; the owner is whoever runs us, and so may write.
  fileprivate init(_ file: SysfsFile) {
    var contents: (@Sendable () -> [UInt8])?
    // What cannot be read just now can be opened still.
    if let read = file.read { contents = { (try? read()) ?? [] } }
    var act: Write?
    if let write = file.write {
      act = { (bytes: [UInt8]) throws(Errno) -> DeferredAnswer? in
        switch try write(bytes) {
        case .done: return nil
        case .later(let answer): return answer
        }
      }
    }
    self.init(
      mode: UInt32(file.permissions.rawValue), size: file.size, contents: contents, write: act)
    readPart = file.readPart
    writePart = file.writePart
    registers = file.registers
  }
}
