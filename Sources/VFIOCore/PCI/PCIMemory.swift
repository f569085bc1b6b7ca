public import ClientAccess
public import DeviceKit
import SystemPackage
import VFIOABI

/// The RAM behind a function's BARs: one sparse file with each BAR where its region is on the device
/// descriptor, and our own windows on it.
struct PCIMemory: Sendable {
  let file: SharedMemory
  /// BAR number to window.
  let windows: [Int: SharedMemory.Window]

  /// - Returns: nil where no BAR is RAM.
  /// - Throws: what making or mapping the file says.
  init?(_ bars: [Int: PCIFunctionDescription.BAR], name: String) throws(Errno) {
    let ram = bars.filter(\.value.isRAM)
    if ram.isEmpty { return nil }
    file = try SharedMemory(name: name, size: PCIRegion.rom.fileOffset)
    var windows: [Int: SharedMemory.Window] = [:]
    for (number, bar) in ram {
      let start = RegionOffset(index: UInt32(number)).fileOffset
      // A BAR below a page has the page to itself.
      let size = max(bar.size, SharedMemory.pageSize)
      windows[number] = try file.window(start..<(start + size))
    }
    self.windows = windows
  }
}

extension SharedMemory.Window: DeviceMemory {}
