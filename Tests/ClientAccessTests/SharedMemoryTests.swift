import ClientAccess
import Glibc
import SystemPackage
import Testing

struct SharedMemoryTests {
  static let page = SharedMemory.pageSize

  @Test func windowsOverlap() throws {
    let memory = try SharedMemory(name: "test", size: 1 << 50)
    let a = try memory.window(0..<2 * Self.page)
    let b = try memory.window(Self.page..<2 * Self.page)
    let far = try memory.window(1 << 50 - Self.page..<1 << 50)
    write(a, Int(Self.page) + 1, [1, 2, 3])
    #expect(read(b, 0, 5) == [0, 1, 2, 3, 0])
    for (offset, count) in [(8, 8), (12, 4), (16, 4), (21, 8), (30, 2)] {
      let bytes = (0..<count).map { UInt8($0 + 1) }
      write(far, offset, bytes)
      #expect(read(far, offset, count) == bytes)
    }
    #expect(read(far, 20, 10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0])
    #expect(far.count == Int(Self.page))
  }

  /// What a client that has the descriptor might do.
  @Test func nobodyResizesIt() throws {
    let memory = try SharedMemory(name: "test", size: 4 * Self.page)
    #expect(ftruncate(memory.descriptor, 0) == -1 && errno == EPERM)
    #expect(ftruncate(memory.descriptor, off_t(8 * Self.page)) == -1 && errno == EPERM)
    // 8 is F_SEAL_WRITE, 16 F_SEAL_FUTURE_WRITE.
    #expect(fcntl(memory.descriptor, Self.addSeals, 8) == -1 && errno == EPERM)
    #expect(fcntl(memory.descriptor, Self.addSeals, 16) == -1 && errno == EPERM)
    #expect(pwrite(memory.descriptor, "x", 1, off_t(4 * Self.page)) == -1)
    let window = try memory.window(0..<4 * Self.page)
    #expect(read(window, Int(4 * Self.page) - 1, 1) == [0])
  }

  @Test(arguments: [0..<0, 0..<5 * page, 1..<page, 4 * page..<5 * page] as [Range<UInt64>])
  func badWindows(range: Range<UInt64>) throws {
    let memory = try SharedMemory(name: "test", size: 4 * Self.page)
    #expect(throws: Errno.invalidArgument) { _ = try memory.window(range) }
  }

  @Test func tooLarge() {
    #expect(throws: Errno.fileTooLarge) { _ = try SharedMemory(name: "test", size: .max) }
  }

  /// `F_ADD_SEALS`.
  private static let addSeals: Int32 = 1024 + 9

  private func read(_ window: SharedMemory.Window, _ offset: Int, _ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: count)
    bytes.withUnsafeMutableBytes { window.read(at: offset, into: $0) }
    return bytes
  }

  private func write(_ window: SharedMemory.Window, _ offset: Int, _ bytes: [UInt8]) {
    bytes.withUnsafeBytes { window.write(at: offset, from: $0) }
  }
}
