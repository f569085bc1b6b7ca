import CLinux
import Glibc
import SystemPackage
import Testing
import Threads

@testable import ClientAccess

/// The thread that runs a test, as a client of itself.
@Suite struct ClientThreadTests {
  private let page = Int(sysconf(Int32(_SC_PAGESIZE)))

  private func me() -> ClientThread { ClientThread(id: cl_gettid()) }

  @Test func lockedMemoryFromProc() throws {
    var limit = rlimit()
    try #require(getrlimit(__rlimit_resource_t(8), &limit) == 0)
    let isInfinite = limit.rlim_cur == .max
    #expect(
      try ProcFS.lockedMemoryLimit(of: me().id) == (isInfinite ? .max : UInt64(limit.rlim_cur)))
    #expect(try ProcFS.status(of: me().id).fileUser == geteuid())
    #expect(throws: Errno.self) { try ProcFS.lockedMemoryLimit(of: .max) }
  }

  /// Two pages, the second of which is not mapped.
  private func edge() throws -> UnsafeMutableRawPointer {
    let pages = mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    let start = try #require(pages)
    try #require(start != MAP_FAILED)
    munmap(start + page, page)
    return start
  }

  private func blockingEventfd() -> Int32 {
    let fd = cl_eventfd()
    _ = fcntl(fd, F_SETFL, 0)
    return fd
  }

  private func address(_ pointer: UnsafeMutableRawPointer) -> ClientAddress {
    ClientAddress(UInt64(UInt(bitPattern: pointer)))
  }

  @Test func memoryIsReadAndWritten() throws {
    let memory = try edge()
    var value: UInt64 = 0x0102_0304_0506_0708
    try withUnsafeBytes(of: &value) { try me().write(address(memory + 8), from: $0) }
    #expect(memory.load(fromByteOffset: 8, as: UInt64.self) == value)
    var back: UInt64 = 0
    try withUnsafeMutableBytes(of: &back) { try me().read(address(memory + 8), into: $0) }
    #expect(back == value)
  }

  @Test(arguments: [0, 1, 0xffff_8000_0000_0000, UInt64.max - 3] as [UInt64])
  func badPointersAreEFAULT(_ pointer: UInt64) {
    var value: UInt32 = 0
    #expect(throws: Errno.badAddress) {
      try withUnsafeMutableBytes(of: &value) { try me().read(ClientAddress(pointer), into: $0) }
    }
    #expect(throws: Errno.badAddress) {
      try withUnsafeBytes(of: &value) { try me().write(ClientAddress(pointer), from: $0) }
    }
  }

  @Test func aRangeThatEndsBeyondItsPageIsEFAULT() throws {
    let memory = try edge()
    var value: UInt64 = 0
    #expect(throws: Errno.badAddress) {
      try withUnsafeMutableBytes(of: &value) {
        try me().read(address(memory + page - 4), into: $0)
      }
    }
  }

  @Test func readOnlyMemoryIsNotWritten() throws {
    let memory = try edge()
    mprotect(memory, page, PROT_READ)
    var value: UInt32 = 1
    #expect(throws: Errno.badAddress) {
      try withUnsafeBytes(of: &value) { try me().write(address(memory), from: $0) }
    }
  }

  @Test func threadsThatAreGoneAreESRCH() {
    var value: UInt32 = 0
    #expect(throws: Errno.noSuchProcess) {
      try withUnsafeMutableBytes(of: &value) {
        try ClientThread(id: Int32.max).read(ClientAddress(0x1000), into: $0)
      }
    }
  }

  @Test func descriptorsAreIdentified() throws {
    let null = open("/dev/null", O_RDWR)
    defer { close(null) }
    let identity = try me().identify(null)
    #expect(identity.characterDevice == FileIdentity.DeviceNumber(major: 1, minor: 3))
    #expect(try identity == FileIdentity(path: "/dev/null"))
    let file = open("/proc/self/exe", O_RDONLY)
    defer { close(file) }
    #expect(try me().identify(file).characterDevice == nil)
  }

  @Test(arguments: [Int32(-1), 987_654])
  func closedDescriptorsAreEBADF(_ fd: Int32) throws {
    let monitor = try EventMonitor()
    #expect(throws: Errno.badFileDescriptor) { try me().identify(fd) }
    #expect(throws: Errno.badFileDescriptor) { try me().eventfd(fd, monitor: monitor) }
  }

  @Test func pathDescriptorsAreEBADF() {
    let oPath: Int32 = 0o10000000
    let null = open("/dev/null", oPath)
    defer { close(null) }
    #expect(throws: Errno.badFileDescriptor) { try me().identify(null) }
  }

  @Test func onlyEventfdsAreEventfds() throws {
    let monitor = try EventMonitor()
    let null = open("/dev/null", O_RDWR)
    defer { close(null) }
    #expect(throws: Errno.invalidArgument) { try me().eventfd(null, monitor: monitor) }
  }

  @Test func signalsArriveAndSaturate() throws {
    let monitor = try EventMonitor()
    let fd = blockingEventfd()
    defer { close(fd) }
    let event = try me().eventfd(fd, monitor: monitor)
    event.signal()
    event.signal()
    var count: UInt64 = 0
    #expect(Glibc.read(fd, &count, 8) == 8)
    #expect(count == 2)
    var full = UInt64.max - 1
    #expect(Glibc.write(fd, &full, 8) == 8)
    event.signal()  // would block as a plain write
    #expect(Glibc.read(fd, &count, 8) == 8)
    #expect(count == UInt64.max)
  }

  @Test func watchesHearOfSignalsUntilTheyAreCancelled() throws {
    let monitor = try EventMonitor()
    let fd = blockingEventfd()
    defer { close(fd) }
    let heard = Semaphore()
    let watch = try me().eventfd(fd, monitor: monitor).watch { heard.signal() }
    for _ in 0..<3 {
      cl_eventfd_signal(fd)
      #expect(heard.wait(milliseconds: 10_000))
    }
    var count: UInt64 = 0
    _ = fcntl(fd, F_SETFL, O_NONBLOCK)
    #expect(Glibc.read(fd, &count, 8) == -1)  // taken by the watch
    watch.cancel()
    cl_eventfd_signal(fd)
    #expect(Glibc.read(fd, &count, 8) == 8)
    #expect(!heard.wait(milliseconds: 50))
  }
}
