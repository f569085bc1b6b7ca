import Synchronization
import SystemPackage

/// The devices that plug-ins can name in a call, by the pointers that they name them with.
///
/// A pointer is never followed: one of a device that has gone finds nothing.
final class PluginRegistry: Sendable {
  private struct Model {
    weak var device: ModelDevice?
  }

  private enum Entry {
    case bus(PluginDevice)
    case model(Model)
  }

  enum Found: Sendable {
    case bus(PluginDevice)
    case model(ModelDevice)
  }

  private let entries = Mutex<[UInt: Entry]>([:])

  /// - Throws: `EEXIST` when the plug-in has added the struct already.
  func add(_ device: PluginDevice) throws(Errno) {
    try entries.withLock { entries throws(Errno) in
      if entries[device.key] != nil { throw .fileExists }
      entries[device.key] = .bus(device)
      entries[device.copy.key] = .bus(device)
    }
  }

  func add(_ device: ModelDevice) {
    entries.withLock { $0[device.copy.key] = .model(Model(device: device)) }
  }

  func remove(_ device: PluginDevice) {
    entries.withLock { entries in
      for key in [device.key, device.copy.key] {
        // The plug-in may have made another device of the struct.
        if case .bus(let other)? = entries[key], other === device { entries[key] = nil }
      }
    }
  }

  func remove(_ key: UInt) {
    entries.withLock { $0[key] = nil }
  }

  /// - Throws: `EINVAL` for a null pointer, `ENODEV` when there is no such device.
  func find(_ pointer: UnsafeRawPointer?) throws(Errno) -> Found {
    guard let pointer else { throw .invalidArgument }
    let key = UInt(bitPattern: pointer)
    let found = entries.withLock { entries -> Found? in
      switch entries[key] {
      case .bus(let device): .bus(device)
      case .model(let model): model.device.map(Found.model)
      case nil: nil
      }
    }
    guard let found else { throw .operationNotSupportedByDevice }
    return found
  }

  /// - Throws: as `find`, and `ENODEV` for a device that no bus driver of a plug-in added.
  func busDevice(_ pointer: UnsafeRawPointer?) throws(Errno) -> PluginDevice {
    guard case .bus(let device) = try find(pointer) else { throw .operationNotSupportedByDevice }
    return device
  }
}
