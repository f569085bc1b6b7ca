import CLinux
import ClientAccess
import Glibc
import Testing

/// This process, as a client.
func ownAddressSpace() throws -> ProcessAddressSpace {
  try AddressSpaceTable(isOneTree: true).addressSpace(of: getpid())
}

/// A file in memory, as clients share it.
final class TestFile: Sendable {
  let fd: Int32
  let size: Int

  init(pages: Int) throws {
    size = pages * 4096
    fd = cl_snapshot("test", [UInt8](repeating: 0, count: size), size)
    try #require(fd >= 0)
  }

  deinit {
    close(fd)
  }

  /// Maps all of it, or as much other memory where it is not to be shared.
  func map(isShared: Bool = true) throws -> TestMemory {
    let flags = isShared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS
    let start = mmap(nil, size, PROT_READ | PROT_WRITE, flags, isShared ? fd : -1, 0)
    return TestMemory(try #require(start == MAP_FAILED ? nil : start), size: size)
  }

  func truncate(pages: Int) {
    ftruncate(fd, off_t(pages * 4096))
  }
}

/// Memory of this process, unmapped in the end.
final class TestMemory: Sendable {
  let address: UInt64
  let size: Int

  init(_ start: UnsafeMutableRawPointer, size: Int) {
    address = UInt64(UInt(bitPattern: start))
    self.size = size
  }

  deinit {
    munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), size)
  }

  subscript(offset: Int) -> UInt8 {
    get { pointer[offset] }
    set { pointer[offset] = newValue }
  }

  var pointer: UnsafeMutablePointer<UInt8> {
    UnsafeMutablePointer(bitPattern: UInt(address)).unsafelyUnwrapped
  }
}
