import Glibc

/// Pages of 2 MiB, of which root sees to it that there are some.
enum HugePages {
  static let size = 2 << 20
  private static let hugeTLB: Int32 = 0x40000

  /// Whether a test can have two, as a file that takes root to open.
  static let areThere: Bool = {
    guard geteuid() == 0 else { return false }
    if map(pages: 2) != nil { return true }
    // A pool that somebody has made is his.
    guard poolIsEmpty else { return false }
    setPool("4")
    atexit { HugePages.setPool("0") }
    return map(pages: 2) != nil
  }()

  private static var poolIsEmpty: Bool {
    let pool = open("/proc/sys/vm/nr_hugepages", O_RDONLY | O_CLOEXEC)
    guard pool >= 0 else { return false }
    defer { close(pool) }
    var text = [UInt8](repeating: 0, count: 2)
    return read(pool, &text, 2) == 2 && text == Array("0\n".utf8)
  }

  private static func setPool(_ size: StaticString) {
    let pool = open("/proc/sys/vm/nr_hugepages", O_WRONLY | O_CLOEXEC)
    guard pool >= 0 else { return }
    write(pool, size.utf8Start, size.utf8CodeUnitCount)
    close(pool)
  }

  static func map(pages: Int) -> TestMemory? {
    let start = mmap(
      nil, pages * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | hugeTLB, -1, 0)
    guard let start, start != MAP_FAILED else { return nil }
    return TestMemory(start, size: pages * size)
  }
}
