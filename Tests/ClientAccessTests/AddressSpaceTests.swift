import CLinux
import Glibc
import SystemPackage
import Testing

@testable import ClientAccess

@Suite struct AddressSpaceTests {
  /// A child process that waits; killed when the test is over.
  private final class Child {
    let pid: pid_t

    /// - Parameters:
    ///   - input: its standard input, which it gets.
    ///   - output: its standard output, which it gets.
    init(_ command: [String] = ["sleep", "1000"], _ input: Int32 = 0, _ output: Int32 = 1) throws {
      var pid: pid_t = 0
      var arguments = command.map { strdup($0) } + [nil]
      defer { for argument in arguments { free(argument) } }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_adddup2(&actions, input, 0)
      posix_spawn_file_actions_adddup2(&actions, output, 1)
      try #require(
        posix_spawn(&pid, "/bin/\(command[0])", &actions, nil, &arguments, environ) == 0)
      if input != 0 { close(input) }
      if output != 1 { close(output) }
      self.pid = pid
    }

    deinit {
      end()
    }

    func end() {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
  }

  @Test func threadsShareOneObject() throws {
    let table = AddressSpaceTable()
    let main = try table.addressSpace(of: getpid())
    let here = try table.addressSpace(of: cl_gettid())
    #expect(main === here)
  }

  @Test func otherProcessesHaveTheirOwn() throws {
    let table = AddressSpaceTable()
    let child = try Child()
    let mine = try table.addressSpace(of: getpid())
    let other = try table.addressSpace(of: child.pid)
    #expect(mine !== other)
    #expect(try other === table.addressSpace(of: child.pid))
  }

  /// A shell that replaces itself by another program when it is sent a line.
  @Test func anExecMakesItAnother() throws {
    let table = AddressSpaceTable()
    var (input, output): ([Int32], [Int32]) = ([0, 0], [0, 0])
    try #require(pipe(&input) == 0 && pipe(&output) == 0)
    defer { for fd in [input[1], output[0]] { close(fd) } }
    let child = try Child(["sh", "-c", "echo; read line; exec cat"], input[0], output[1])
    var byte: UInt8 = 0
    #expect(Glibc.read(output[0], &byte, 1) == 1)
    let before = try table.addressSpace(of: child.pid)
    #expect(before.isKnown(of: child.pid))
    #expect(!before.isKnown(of: cl_gettid()))
    // The second line comes back from the new program.
    write(input[1], "\n\n", 2)
    #expect(Glibc.read(output[0], &byte, 1) == 1)
    #expect(!before.isKnown(of: child.pid))
    let after = try table.addressSpace(of: child.pid)
    #expect(after !== before)
    #expect(after.isKnown(of: child.pid))
    child.end()
    #expect(!after.isKnown(of: child.pid))
  }

  /// In one tree a thread is known by random bytes of its program, which are read along.
  @Test func whatIsReadTellsOfAnExec() throws {
    let table = AddressSpaceTable(isOneTree: true)
    var (input, output): ([Int32], [Int32]) = ([0, 0], [0, 0])
    try #require(pipe(&input) == 0 && pipe(&output) == 0)
    defer { for fd in [input[1], output[0]] { close(fd) } }
    let child = try Child(["sh", "-c", "echo; read line; exec cat"], input[0], output[1])
    var byte: UInt8 = 0
    #expect(Glibc.read(output[0], &byte, 1) == 1)
    var thread = ClientThread(id: child.pid)
    #expect(table.last(of: thread) == nil)
    thread.incarnation = 7
    #expect(table.last(of: thread) == nil)
    let before = try table.addressSpace(of: thread)
    #expect(table.last(of: thread) === before)
    /// Reads the first bytes of the program, which begins like every one.
    func isStill(_ space: ProcessAddressSpace) throws -> Bool {
      let maps = try ProcFS.contents("/proc/\(child.pid)/maps")
      let vma = try #require(VMA(line: maps.prefix { $0 != UInt8(ascii: "\n") }))
      var magic: UInt32 = 0
      let isSame = try withUnsafeMutableBytes(of: &magic) {
        try space.read(ClientAddress(vma.start), into: $0, of: thread)
      }
      #expect(magic == 0x464c_457f)
      return isSame
    }
    #expect(try isStill(before))
    #expect(throws: Errno.badAddress) {
      try withUnsafeMutableBytes(of: &byte) {
        try before.read(ClientAddress(1), into: $0, of: thread)
      }
    }
    write(input[1], "\n\n", 2)
    #expect(Glibc.read(output[0], &byte, 1) == 1)
    #expect(table.last(of: thread) === before)
    #expect(try !isStill(before))
    let after = try table.addressSpace(of: thread)
    #expect(after !== before)
    #expect(table.last(of: thread) === after)
    #expect(try isStill(after))
  }

  @Test func aDeadProcessIsNobodysMemory() throws {
    let child = try Child()
    let space = try ProcessAddressSpace(thread: child.pid, tgid: child.pid)
    #expect(space.isAlive)
    child.end()
    #expect(!space.isAlive)
    var byte: UInt8 = 0
    #expect(throws: Errno.badAddress) {
      try withUnsafeMutableBytes(of: &byte) { try space.read(ClientAddress(0x1000), into: $0) }
    }
  }

  @Test func memoryIsReachedAndChecked() throws {
    let space = try ProcessAddressSpace(thread: getpid(), tgid: getpid())
    let size = 4096
    let memory = try #require(
      mmap(nil, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { munmap(memory, 2 * size) }
    let start = ClientAddress(UInt64(UInt(bitPattern: memory)))
    let end = try #require(start.advanced(by: UInt64(2 * size)))
    var value: UInt32 = 0xabcd
    try withUnsafeBytes(of: &value) { try space.write(start, from: $0) }
    #expect(memory.load(as: UInt32.self) == 0xabcd)
    let middle = try #require(start.advanced(by: UInt64(size)))
    #expect(try space.mapped(start..<end, writable: true).end == end)
    mprotect(memory + size, size, PROT_READ)
    #expect(try space.mapped(start..<end, writable: false).end == end)
    #expect(try space.mapped(start..<end, writable: true).end == middle)
    mprotect(memory + size, size, PROT_NONE)
    #expect(try space.mapped(start..<end, writable: false).end == middle)
  }

  @Test func lockedMemoryIsCounted() throws {
    let space = try ProcessAddressSpace(thread: getpid(), tgid: getpid())
    try space.lock(8192, limit: 8192)
    #expect(throws: Errno.noMemory) { try space.lock(1, limit: 8192) }
    #expect(throws: Errno.noMemory) { try space.lock(.max, limit: .max) }
    space.unlock(4096)
    try space.lock(4096, limit: 8192)
  }

  @Test func theStatusOfAThread() throws {
    let status = try ProcFS.status(of: cl_gettid())
    #expect(status.tgid == getpid())
    #expect(status.tracer == 0)
    #expect(throws: Errno.noSuchProcess) { try ProcFS.status(of: Int32.max) }
  }
}
