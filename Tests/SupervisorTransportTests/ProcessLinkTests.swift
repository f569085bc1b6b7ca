import ClientAccess
import Glibc
import Testing

@testable import SupervisorTransport

@Suite struct ProcessLinkTests {
  private let caller = ClientThread(id: getpid())

  @Test(arguments: [
    ("/proc/self/fd/7", 7), ("/proc/thread-self/fd/0", 0), ("/dev/fd/12", 12), ("/dev/stdin", 0),
    ("/dev/stdout", 1), ("/dev/stderr", 2),
  ]) func descriptors(path: String, number: Int32) throws {
    let link = try #require(ProcessLink(path, caller: caller))
    #expect(link.owner.id == caller.id)
    #expect(link.target == .descriptor(number))
  }

  @Test func anotherProcess() throws {
    let link = try #require(ProcessLink("/proc/1/cwd", caller: caller))
    #expect(link.owner.id == 1)
    #expect(link.target == .workingDirectory)
  }

  @Test(arguments: [
    "/proc/self", "/proc/self/fd", "/proc/self/fd/-1", "/proc/self/fd/3/x", "/proc/self/cwd/fd/3",
    "/proc/none/fd/3", "/proc/-1/fd/3", "/dev/stdin/x", "/dev/fd", "/dev/null", "/usr/fd/3",
  ]) func others(path: String) {
    #expect(ProcessLink(path, caller: caller) == nil)
  }

  @Test(arguments: [
    ("/proc/self/fd/3", true), ("/proc/12/cwd", true), ("/proc/self/maps", false),
    ("/proc/fd", false), ("/proc/self/fd/", false), ("/proc/self/fdinfo/3", false),
  ]) func aGlance(path: String, expected: Bool) {
    let bytes = Array(path.utf8)
    // SAFETY: the array's own storage, for the length of the call.
    #expect(bytes.withUnsafeBytes { ProcessLink.isLikely($0) } == expected)
  }
}
