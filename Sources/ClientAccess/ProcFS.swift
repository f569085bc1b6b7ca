import CLinux
import Glibc
public import SystemPackage

/// What /proc says of a thread. Every function asks anew: a pid is only as good as the moment.
public enum ProcFS {
  /// The lines of `/proc/<tid>/status` that we use.
  public struct Status: Sendable {
    public var tgid: Int32 = 0
    public var tracer: Int32 = 0
    public var seccomp: Int32 = 0
    public var effectiveCapabilities: UInt64 = 0
    public var pendingSignals: UInt64 = 0
    /// As which user, and which groups, it accesses files; the first group is the primary one.
    public var fileUser: UInt32 = .max
    public var fileGroups: [UInt32] = []

    /// Whether a SIGKILL is on its way to the thread.
    public var isBeingKilled: Bool { pendingSignals & 1 << (SIGKILL - 1) != 0 }
  }

  /// - Throws: `ESRCH` when there is no such thread.
  public static func status(of thread: Int32) throws(Errno) -> Status {
    var status = Status()
    for line in try contents("/proc/\(thread)/status").split(separator: UInt8(ascii: "\n")) {
      if let v = value(line, of: "Tgid:", radix: 10) {
        status.tgid = Int32(truncatingIfNeeded: v)
      } else if let v = value(line, of: "TracerPid:", radix: 10) {
        status.tracer = Int32(truncatingIfNeeded: v)
      } else if let v = value(line, of: "CapEff:", radix: 16) {
        status.effectiveCapabilities = v
      } else if let v = numbers(line, of: "Uid:"), v.count == 4 {
        status.fileUser = v[3]
      } else if let v = numbers(line, of: "Gid:"), v.count == 4 {
        status.fileGroups = [v[3]]
      } else if let v = numbers(line, of: "Groups:") {
        status.fileGroups += v
      } else if let v = value(line, of: "SigPnd:", radix: 16) {
        status.pendingSignals = v
      } else if let v = value(line, of: "Seccomp:", radix: 10) {
        status.seccomp = Int32(truncatingIfNeeded: v)
      }
    }
    if status.tgid == 0 { throw .noSuchProcess }
    return status
  }

  /// The open flags of a descriptor, as in `fdinfo`.
  ///
  /// - Throws: `EBADF` when it is not open.
  static func flags(of thread: Int32, fd: Int32) throws(Errno) -> Int32 {
    let text: [UInt8]
    do { text = try contents("/proc/\(thread)/fdinfo/\(fd)") } catch { throw .badFileDescriptor }
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if let v = value(line, of: "flags:", radix: 8) { return Int32(truncatingIfNeeded: v) }
    }
    throw .badFileDescriptor
  }

  /// The number that all copies of an eventfd share, as in `fdinfo` since Linux 5.2.
  ///
  /// - Throws: `EBADF` when it is not open, `EINVAL` when it is something else.
  public static func eventfdID(of thread: Int32, fd: Int32) throws(Errno) -> UInt64 {
    let text: [UInt8]
    do { text = try contents("/proc/\(thread)/fdinfo/\(fd)") } catch { throw .badFileDescriptor }
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if let v = value(line, of: "eventfd-id:", radix: 10) { return v }
    }
    throw .invalidArgument
  }

  /// The soft `RLIMIT_MEMLOCK`, bytes.
  static func lockedMemoryLimit(of thread: Int32) throws(Errno) -> UInt64 {
    let name = "Max locked memory"
    for line in try contents("/proc/\(thread)/limits").split(separator: UInt8(ascii: "\n")) {
      let text = String(decoding: line, as: UTF8.self)
      guard text.hasPrefix(name), let soft = text.dropFirst(name.count).split(separator: " ").first
      else { continue }
      return UInt64(soft) ?? .max
    }
    throw .noSuchProcess
  }

  /// The file position of a descriptor, as in `fdinfo`.
  ///
  /// - Throws: `EBADF` when it is not open.
  public static func position(of thread: Int32, fd: Int32) throws(Errno) -> UInt64 {
    let text: [UInt8]
    do { text = try contents("/proc/\(thread)/fdinfo/\(fd)") } catch { throw .badFileDescriptor }
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if let v = value(line, of: "pos:", radix: 10) { return v }
    }
    throw .badFileDescriptor
  }

  private static func numbers(_ line: ArraySlice<UInt8>, of name: StaticString) -> [UInt32]? {
    let text = String(decoding: line, as: UTF8.self)
    guard text.hasPrefix("\(name)") else { return nil }
    return text.dropFirst(name.utf8CodeUnitCount).split { $0 == " " || $0 == "\t" }
      .compactMap { UInt32($0) }
  }

  /// The whole text of a file in /proc.
  public static func contents(_ path: String) throws(Errno) -> [UInt8] {
    let file: OwnedFD
    do { file = try OwnedFD(path: path, O_RDONLY) } catch {
      throw error == .noSuchFileOrDirectory ? .noSuchProcess : error
    }
    return try contents(file.rawValue)
  }

  /// The whole text of an open file in /proc, from its start.
  static func contents(_ fd: Int32) throws(Errno) -> [UInt8] {
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
      // SAFETY: pread writes at most `chunk.count` bytes into the chunk's own storage.
      let n = chunk.withUnsafeMutableBytes {
        pread(fd, $0.baseAddress, $0.count, off_t(text.count))
      }
      if n < 0 {
        if errno == EINTR { continue }
        throw Errno(rawValue: errno)
      }
      if n == 0 { return text }
      text += chunk[..<n]
    }
  }

  /// The number behind `key` where the line starts with it.
  private static func value(_ line: ArraySlice<UInt8>, of key: StaticString, radix: UInt64)
    -> UInt64?
  {
    // SAFETY: a static string's UTF-8 lives as long as the program.
    let prefix = UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
    guard line.starts(with: prefix) else { return nil }
    var sum: UInt64 = 0
    var digits = false
    for byte in line.dropFirst(prefix.count) {
      guard let digit = byte.hexDigit, digit < radix else {
        if digits { break } else { continue }
      }
      digits = true
      sum = sum &* radix &+ digit
    }
    return digits ? sum : nil
  }
}

extension UInt8 {
  /// The value of an ASCII hexadecimal digit.
  var hexDigit: UInt64? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(self - UInt8(ascii: "a") + 10)
    default: nil
    }
  }
}
