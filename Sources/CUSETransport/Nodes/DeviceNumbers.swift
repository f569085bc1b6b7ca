import ClientAccess
import Glibc

/// Device numbers for our nodes. Those the kernel gives out by itself end after some 140 nodes.
enum DeviceNumbers {
  /// A major number of the dynamic ranges (Documentation/admin-guide/devices.txt) that nobody uses.
  static func freeMajor() throws(TransportError) -> UInt32 {
    guard let text = try? ProcFS.contents("/proc/devices") else {
      throw TransportError(.unavailable, "/proc/devices cannot be read; is /proc mounted?")
    }
    let used = majors(of: String(decoding: text, as: UTF8.self))
    let candidates: [UInt32] = (234...254).reversed() + (384...511).reversed()
    guard let major = candidates.first(where: { !used.contains($0) }) else {
      throw TransportError(.unavailable, "all dynamic major numbers are taken; see /proc/devices")
    }
    return major
  }

  /// The numbers in the section on character devices.
  static func majors(of text: String) -> Set<UInt32> {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      .drop { !$0.hasPrefix("Character devices:") }.dropFirst().prefix { !$0.isEmpty }
    return Set(lines.compactMap { line in line.split(separator: " ").first.flatMap { UInt32($0) } })
  }
}
