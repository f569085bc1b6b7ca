import CLinux
import Glibc
import SystemPackage
import Testing
import Threads

/// What tells a client's open files apart.
@Suite struct FileKeyTests {
  /// Descriptors of ours for this process's descriptor directory.
  private func directories() throws -> Int {
    let directory = try #require(opendir("/proc/self/fd"))
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var target = [CChar](repeating: 0, count: 256)
      guard readlink("/proc/self/fd/\(name)", &target, 255) > 0 else { continue }
      if String(decoding: target.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        == "/proc/\(getpid())/fd"
      {
        count += 1
      }
    }
    return count
  }

  @Test func threadsThatEndKeepNoDirectory() throws {
    let done = Semaphore()
    for _ in 0..<40 {
      try Thread.start(name: "key") {
        var key = cl_file_key()
        _ = cl_client_file_key(getpid(), 0, &key)
        done.signal()
      }
      #expect(done.wait(milliseconds: 60_000))
    }
    // A thread has signalled before it is gone; opendir has one of its own.
    var count = try directories()
    for _ in 0..<1000 where count > 1 {
      usleep(10_000)
      count = try directories()
    }
    #expect(count <= 1)
  }
}
