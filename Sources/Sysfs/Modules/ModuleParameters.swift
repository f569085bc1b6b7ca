import Synchronization
import SystemPackage
import VFIOCore

/// Parameters of modules that are on or off and can be changed, but change nothing here: what they are about, no
/// emulated machine has. All are off at first.
final class ModuleSwitches: Sendable {
  private let on = Mutex<Set<String>>([])

  func file(_ name: String) -> SysfsFile {
    .parameter { () throws(Errno) in
      self.on.withLock { $0.contains(name) } ? "Y" : "N"
    } set: { text throws(Errno) in
      let isOn = try truth(text)
      self.on.withLock { on in
        if isOn { on.insert(name) } else { on.remove(name) }
      }
    }
  }
}

extension SysfsMachine {
  /// Whether vfio-pci takes devices that have no IOMMU.
  var unsafeNoIOMMUMode: SysfsFile {
    .parameter { [vfio] () throws(Errno) in
      vfio.allowsNoIOMMU ? "Y" : "N"
    } set: { [vfio] text throws(Errno) in
      vfio.allowsNoIOMMU = try truth(text)
    }
  }

  /// How many mappings a container can have that is given its IOMMU from now on.
  var entryLimit: SysfsFile {
    .parameter { [vfio] () throws(Errno) in
      "\(vfio.entryLimit)"
    } set: { [vfio] text throws(Errno) in
      guard let limit = UInt32(exactly: try DriverCore<PCIBus>.number(text)) else {
        throw .outOfRange
      }
      vfio.entryLimit = limit
    }
  }
}

extension SysfsFile {
  /// One that was given when the module was loaded, and stays.
  static let no = SysfsFile(0o444, read: { () throws(Errno) in line("N") })

  fileprivate static func parameter(
    get: @escaping @Sendable () throws(Errno) -> String,
    set: @escaping @Sendable ([UInt8]) throws(Errno) -> Void
  ) -> SysfsFile {
    SysfsFile(
      0o644, read: { () throws(Errno) in line(try get()) },
      write: { text throws(Errno) in
        try set(text)
        return .done
      })
  }
}

/// Reads what `kstrtobool` of lib/kstrtox.c does.
///
/// - Throws: `EINVAL`.
private func truth(_ text: [UInt8]) throws(Errno) -> Bool {
  let text = Array(String(decoding: text.prefix(2), as: UTF8.self).lowercased())
  switch (text.first, text.last) {
  case ("y", _), ("t", _), ("1", _), ("o", "n"): return true
  case ("n", _), ("f", _), ("0", _), ("o", "f"): return false
  default: throw .invalidArgument
  }
}
