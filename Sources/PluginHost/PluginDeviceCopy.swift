import CPlugin
import Glibc

/// The daemon's copy of a `struct vfio_device`, for callbacks.
///
/// @unchecked: made once, and then read only; what the plug-in does to it changes nothing of ours.
final class PluginDeviceCopy: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<vfio_device>
  private let bus: UnsafeMutablePointer<CChar>?
  private let name: UnsafeMutablePointer<CChar>?

  /// - Parameter original: its texts and arrays are not kept.
  init(_ original: vfio_device, bus: String, name: String) {
    // SAFETY: storage of our own, freed in deinit.
    pointer = .allocate(capacity: 1)
    self.bus = strdup(bus)
    self.name = strdup(name)
    var copy = original
    copy.size = UInt32(MemoryLayout<vfio_device>.size)
    copy.bus = UnsafePointer(self.bus)
    copy.name = UnsafePointer(self.name)
    (copy.regions, copy.num_regions, copy.irqs, copy.num_irqs) = (nil, 0, nil, 0)
    pointer.initialize(to: copy)
  }

  deinit {
    free(bus)
    free(name)
    pointer.deallocate()
  }

  /// The pointer as a key.
  var key: UInt { UInt(bitPattern: pointer) }
}
