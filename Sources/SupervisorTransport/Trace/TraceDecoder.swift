import CLinux
import ClientAccess
import SystemPackage
import VFIOABI

/// A system call as a line of text.
struct TraceDecoder {
  let call: Call

  var text: String {
    let fd = Call.int(call.argument0)
    return switch call.name {
    case CL_CALL_IOCTL: "ioctl(\(fd), \(ioctl))"
    case CL_CALL_READ: "read(\(fd), \(hex(call.argument1)), \(call.argument2))"
    case CL_CALL_WRITE: "write(\(fd), \(hex(call.argument1)), \(call.argument2))"
    case CL_CALL_READV: "readv(\(fd), \(hex(call.argument1)), \(call.argument2))"
    case CL_CALL_WRITEV: "writev(\(fd), \(hex(call.argument1)), \(call.argument2))"
    case CL_CALL_LSEEK: "lseek(\(fd), \(place(call.argument1)), \(call.argument2))"
    case CL_CALL_SENDFILE: "sendfile(\(fd), \(Call.int(call.argument1)))"
    case CL_CALL_SPLICE: "splice(\(fd), \(Call.int(call.argument2)))"
    case CL_CALL_COPY_FILE_RANGE: "copy_file_range(\(fd), \(Call.int(call.argument2)))"
    case CL_CALL_PREAD: "pread(\(fd), \(transfer))"
    case CL_CALL_PWRITE: "pwrite(\(fd), \(transfer))"
    case CL_CALL_PREADV, CL_CALL_PREADV2: "preadv(\(fd), \(transfer))"
    case CL_CALL_PWRITEV, CL_CALL_PWRITEV2: "pwritev(\(fd), \(transfer))"
    case CL_CALL_MMAP:
      "mmap(\(call.argument1) bytes, \(Call.int(call.argument4)), \(place(call.argument5)))"
    case CL_CALL_PRCTL: "prctl(\(call.argument0), \(call.argument1))"
    case CL_CALL_OPEN, CL_CALL_CREAT: "open(\(string(call.argument0)))"
    case CL_CALL_OPENAT, CL_CALL_OPENAT2: "open(\(string(call.argument1)))"
    case CL_CALL_STAT, CL_CALL_LSTAT: "stat(\(string(call.argument0)))"
    case CL_CALL_FSTATAT, CL_CALL_STATX: "stat(\(string(call.argument1)))"
    case CL_CALL_READLINK: "readlink(\(string(call.argument0)))"
    case CL_CALL_READLINKAT: "readlink(\(string(call.argument1)))"
    case CL_CALL_ACCESS: "access(\(string(call.argument0)))"
    case CL_CALL_CHOWN, CL_CALL_LCHOWN: "chown(\(string(call.argument0)))"
    case CL_CALL_FCHOWNAT: "fchownat(\(string(call.argument1)))"
    case CL_CALL_CHMOD: "chmod(\(string(call.argument0)))"
    case CL_CALL_FCHMODAT: "fchmodat(\(string(call.argument1)))"
    case CL_CALL_FACCESSAT, CL_CALL_FACCESSAT2: "access(\(string(call.argument1)))"
    default: "call"
    }
  }

  // MARK: read and write

  private var transfer: String {
    "\(hex(call.argument1)), \(call.argument2), \(place(call.argument3))"
  }

  private func place(_ offset: UInt64) -> String {
    let place = RegionOffset(fileOffset: offset)
    let region =
      PCIRegion(rawValue: place.index).map { "\($0)" } ?? "region \(place.index)"
    return "\(region)+\(hex(place.offset))"
  }

  // MARK: ioctl

  private var ioctl: String {
    let number = UInt32(truncatingIfNeeded: call.argument1)
    guard let name = call.requests.name(of: number) else {
      return "\(hex(UInt64(number))), \(pointer)"
    }
    let argument =
      switch call.requests {
      case .draft2011: Draft2011.Request(rawValue: number).map(argument)
      case .container: Mainline.ContainerRequest(rawValue: number).map(argument)
      case .group: Mainline.GroupRequest(rawValue: number).map(argument)
      case .device: Mainline.DeviceRequest(rawValue: number).map(argument)
      }
    return argument.map { $0.isEmpty ? name : "\(name), \($0)" } ?? name
  }

  // MARK: The caller's memory

  var pointer: String { hex(call.argument2) }

  /// - Parameter empty: any value of the type.
  func load<T: BitwiseCopyable>(_ empty: T) -> T? {
    var value = empty
    do throws(Errno) {
      try withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
        // SAFETY: the bytes are those of `value`, where any pattern is a value.
        try call.thread.read(ClientAddress(call.argument2), into: bytes)
      }
      return value
    } catch {
      return nil
    }
  }

  /// The first bytes of a string, quoted.
  func string(_ address: UInt64) -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = min(bytes.count, 4096 - Int(address % 4096))
    do throws(Errno) {
      try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
        // SAFETY: the array's own storage, for the length of the call.
        try call.thread.read(
          ClientAddress(address),
          into: UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: buffer[..<count])))
      }
    } catch {
      return hex(address)
    }
    let text = bytes[..<count].prefix { $0 != 0 }
    // Control characters could make a line look like two.
    return "\"" + String(decoding: text.map { $0 < 32 ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
      + "\""
  }

  func hex(_ value: UInt64) -> String {
    "0x" + String(value, radix: 16)
  }
}
