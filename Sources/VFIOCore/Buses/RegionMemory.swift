public import ClientAccess
public import DeviceKit
public import SystemPackage
import VFIOABI

/// The RAM behind a device's regions: one sparse file with each region where it is on the device descriptor,
/// and our own windows on it.
public struct RegionMemory: Sendable {
  public let file: SharedMemory
  /// Region index to window.
  public let windows: [Int: SharedMemory.Window]

  /// - Parameters:
  ///   - sizes: bytes of each region that is RAM, by index.
  ///   - shared: another device's file, to be seen here too.
  /// - Returns: nil where no region is RAM.
  /// - Throws: what making or mapping the file says.
  public init?(
    _ sizes: [Int: UInt64], name: String, sharing shared: SharedMemory? = nil
  ) throws(Errno) {
    guard let last = sizes.keys.max() else { return nil }
    if let shared {
      file = shared
    } else {
      file = try SharedMemory(name: name, size: RegionOffset(index: UInt32(last + 1)).fileOffset)
    }
    var windows: [Int: SharedMemory.Window] = [:]
    for (index, size) in sizes {
      let start = RegionOffset(index: UInt32(index)).fileOffset
      // The rest of its last page is the region's as well.
      let pages = (size + SharedMemory.pageSize - 1) / SharedMemory.pageSize
      windows[index] = try file.window(start..<(start + pages * SharedMemory.pageSize))
    }
    self.windows = windows
  }

  /// Answers a client that wants to map a part of the device descriptor.
  ///
  /// - Parameter areas: which parts of a region can be mapped, in whole pages.
  /// - Throws: `EINVAL` for a private mapping and for what is not all inside one area.
  public func backing(
    _ request: MapRequest, areas: (_ region: Int) -> [Range<UInt64>]
  ) throws(Errno) -> MapBacking {
    let place = RegionOffset(fileOffset: request.offset)
    let (end, overflow) = place.offset.addingReportingOverflow(request.length)
    guard request.isShared, request.length > 0, !overflow,
      place.offset % SharedMemory.pageSize == 0
    else { throw .invalidArgument }
    // Part of a page maps all of it: every area ends with a page, so the end may be inside its last.
    let isMappable = areas(Int(place.index))
      .contains { $0.contains(place.offset) && end <= $0.upperBound }
    guard isMappable else { throw .invalidArgument }
    return MapBacking(memory: file, offset: request.offset)
  }

  /// What can be mapped of a region that is RAM from end to end: all of it, where that is whole pages.
  public static func areas(size: UInt64) -> [Range<UInt64>] {
    size > 0 && size % SharedMemory.pageSize == 0 ? [0..<size] : []
  }
}

extension SharedMemory.Window: DeviceMemory {}
