import ClientAccess
import DeviceKit
import Synchronization
import SystemPackage

extension PCIBus {
  /// The RAM behind a function's BARs, nil where none is RAM.
  func memory(
    of kind: PCIFunctionKind, at address: PCIAddress
  ) throws(BusError) -> RegionMemory? {
    let sizes = kind.description.bars.filter(\.value.isRAM).mapValues(\.size)
    do throws(Errno) {
      guard let name = kind.sharedMemory else {
        return try RegionMemory(sizes, name: "\(address)")
      }
      return try devices.withLock { state throws(Errno) in
        let memory = try RegionMemory(sizes, name: name, sharing: state.sharedMemories[name])
        if let memory { state.sharedMemories[name] = memory.file }
        return memory
      }
    } catch {
      throw BusError(error, "there is no memory for \(kind.name) at \(address): \(error)")
    }
  }
}

/// The memory files that functions of a bus share by name, for as long as one of them has it.
struct PCISharedMemories: Sendable {
  private struct Entry: Sendable {
    weak var file: SharedMemory?
  }

  private var entries: [String: Entry] = [:]

  subscript(_ name: String) -> SharedMemory? {
    get { entries[name]?.file }
    set {
      entries = entries.filter { $0.value.file != nil }
      entries[name] = Entry(file: newValue)
    }
  }
}
