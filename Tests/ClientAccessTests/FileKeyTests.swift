import CLinux
import Glibc
import SystemPackage
import Testing
import Threads

/// What tells a client's open files apart.
@Suite struct FileKeyTests {
  /// Descriptors of ours for a process's descriptor directory.
  private func directories(of process: pid_t) throws -> Int {
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
        == "/proc/\(process)/fd"
      {
        count += 1
      }
    }
    return count
  }

  private func incarnation(of thread: Int32, fd: Int32 = 0) -> UInt64 {
    var (key, incarnation) = (cl_file_key(), UInt64(0))
    let result = cl_client_file_key(thread, fd, &key, &incarnation)
    #expect(result == (fd < 0 ? -EBADF : 0))
    return incarnation
  }

  @Test func aThreadIsTheSameFromCallToCall() throws {
    let done = Semaphore()
    let first = incarnation(of: getpid())
    #expect(first != 0)
    #expect(incarnation(of: getpid()) == first)
    // Of its own as long as it lives, like its number; threads 8 apart share a place in the cache.
    try Thread.start(name: "another") {
      #expect(incarnation(of: cl_gettid()) != first)
      done.signal()
    }
    #expect(done.wait(milliseconds: 60_000))
    #expect(incarnation(of: getpid(), fd: -1) == 0)
  }

  @Test func threadsThatEndKeepNoDirectory() throws {
    // A process that no other test asks about.
    var process = pid_t()
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("600"), nil]
    defer { for argument in arguments { free(argument) } }
    try #require(posix_spawn(&process, "/bin/sleep", nil, nil, &arguments, environ) == 0)
    defer {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    let done = Semaphore()
    let (asked, goOn) = (Semaphore(), Semaphore())
    for i in 0..<40 {
      try Thread.start(name: "key") { [process] in
        var (key, incarnation) = (cl_file_key(), UInt64(0))
        #expect(cl_client_file_key(process, 0, &key, &incarnation) == 0)
        asked.signal()
        if i == 0 { _ = goOn.wait(milliseconds: 60_000) }
        done.signal()
      }
      #expect(asked.wait(milliseconds: 60_000))
      // One is kept as long as its thread lives.
      if i == 0 {
        #expect(try directories(of: process) == 1)
        goOn.signal()
      }
      #expect(done.wait(milliseconds: 60_000))
    }
    // A thread has signalled before it is gone.
    var count = try directories(of: process)
    for _ in 0..<1000 where count > 0 {
      usleep(10_000)
      count = try directories(of: process)
    }
    #expect(count == 0)
  }
}
