import CLinux
import ClientAccess
import DeviceKit
import Glibc
import Logging
import Synchronization
import SystemPackage
import VFIOCore

/// Registers that clients have mapped: sees each access and carries it out.
///
/// What a client maps is an empty file, so that each access to it raises SIGBUS: the one that its descriptor is
/// of, or `MappedRegisters` where that is the device's RAM.
/// We trace its threads from then on, and before the signal is delivered we look at the instruction, do
/// what it does, on the device and on the thread's registers, and let the thread go on behind it. All other
/// signals are delivered as ever. Until it runs another program, nobody else can trace it.
final class RegisterTrap: Sendable {
  private let files: OpenFiles
  private let logger: Logger
  /// Instructions that we do not know may be loud in the log a few times only.
  private let loudReports = Mutex(8)
  /// The thread that we have make a call of ours, 0 for none.
  private let directed = Atomic<Int32>(0)
  /// How long a client may take over calls of a few microseconds before it is killed.
  private static let deadline = Duration.seconds(10)

  init(files: OpenFiles, logger: Logger) {
    self.files = files
    self.logger = logger
  }

  /// Lets a client map registers. To be called on the thread that waits for the clients' stops.
  func admit(_ call: Call) {
    if seize(call) { call.allow() }
  }

  /// Whether the call is one that we have its caller make: it is waited for.
  func isDirecting(_ call: Call) -> Bool {
    directed.load(ordering: .acquiring) == call.thread.id
  }

  /// The same where the caller's descriptor is of the device's RAM. Its thread is given another one, and is
  /// made to map that, before its next instruction.
  ///
  /// - Parameter descriptor: gives it to the caller, who still waits.
  func map(_ call: Call, by descriptor: () throws(Errno) -> Int32) {
    guard seize(call) else { return }
    let thread: SeizedThread
    do throws(TracingFailure) {
      thread = try SeizedThread.seize(call.thread.id, as: .ancestor)
    } catch {
      return call.fail(error.errno)
    }
    let copy: Result<Int32, Errno>
    do throws(Errno) { copy = .success(try descriptor()) } catch { copy = .failure(error) }
    call.answer(Int64(SeizedThread.placeholder))
    guard var stopped = thread.stopped(deadline: Self.deadline) else { return }
    let result: Int64
    do throws(TracingFailure) {
      try stopped.prepare(after: .mmap)
      switch copy {
      case .failure(let error): result = -Int64(error.rawValue)
      case .success(let fd):
        guard let mapped = map(call, by: fd, stopped),
          stopped.call(CL_SYS_close, UInt64(fd)) != nil
        else { return }
        result = mapped
      }
    } catch {
      result = -Int64(error.errno.rawValue)
    }
    _ = stopped.resume(returning: result)
  }

  private func map(_ call: Call, by fd: Int32, _ stopped: borrowing StoppedThread) -> Int64? {
    directed.store(call.thread.id, ordering: .releasing)
    defer { directed.store(0, ordering: .releasing) }
    return stopped.call(
      CL_SYS_mmap, call.argument0, call.argument1, call.argument2, call.argument3, UInt64(fd),
      call.argument5)
  }

  /// Traces the caller's process.
  ///
  /// - Returns: false where the call has failed.
  private func seize(_ call: Call) -> Bool {
    do throws(Errno) {
      let process = try ProcFS.status(of: call.thread.id).tgid
      try cl_trap_seize(process).checked()
      return true
    } catch {
      logger.warning(
        "a client cannot map registers: somebody else traces it, strace or a debugger perhaps",
        metadata: ["pid": "\(call.thread.id)", "errno": "\(error)"])
      call.fail(.resourceBusy)
      return false
    }
  }

  /// One of the threads has stopped.
  ///
  /// - Parameter status: what waitpid(2) says.
  /// - Returns: whether job control has stopped its process.
  func stopped(_ tid: Int32, _ status: Int32) -> Bool {
    switch cl_trap_stop(status) {
    case CL_TRAP_SIGNAL:
      let signal = status >> 8 & 0xff
      _ = cl_trap_go_on(tid, isServed(tid, signal) ? 0 : signal)
    case CL_TRAP_GROUP_STOP:
      _ = cl_trap_listen(tid)
      return true
    case CL_TRAP_EXEC: _ = cl_trap_let_go(tid)
    default: _ = cl_trap_go_on(tid, 0)
    }
    return false
  }

  /// Serves an access to registers.
  ///
  /// - Returns: false where it is another signal, or the access fails.
  private func isServed(_ tid: Int32, _ signal: Int32) -> Bool {
    var address: UInt64 = 0
    guard signal == SIGBUS, cl_trap_is_fault(tid, &address),
      let mapping = try? ClientThread(id: tid).mapping(at: address),
      let open = files.file(OpenFiles.Key(mapping))
    else { return false }
    var c = user_regs_struct()
    guard cl_ptrace_getregs(tid, &c) == 0 else { return false }
    var registers = X86Registers(c)
    let code = Self.code(of: tid, at: registers.rip)
    guard let instruction = X86Instruction(code) else {
      report(code, tid)
      return false
    }
    var memory = ClientRegisters(
      thread: ClientThread(id: tid), file: open.file, mapping: mapping)
    do {
      if instruction.isVector {
        try run(instruction, &registers, &memory, tid)
      } else {
        try instruction.run(&registers, &memory)
      }
    } catch {
      return false
    }
    registers.store(to: &c)
    return cl_ptrace_setregs(tid, &c) == 0
  }

  /// Carries out what moves a vector register.
  private func run(
    _ instruction: X86Instruction, _ registers: inout X86Registers,
    _ memory: inout ClientRegisters, _ tid: Int32
  ) throws {
    var state = try XState(of: tid)
    registers.vectors = state.vectors
    try instruction.run(&registers, &memory)
    guard case .loadVector(let vector) = instruction.operation else { return }
    state.set(vector.number, registers.vectors)
    try state.store(to: tid)
  }

  /// The bytes of an instruction, and what follows; fewer where a page ends that is the last.
  private static func code(of tid: Int32, at rip: UInt64) -> [UInt8] {
    let most = 15
    let toPageEnd = Int(4096 - rip % 4096)
    for count in [most, min(most, toPageEnd)] {
      var bytes = [UInt8](repeating: 0, count: count)
      let isRead: Void? = try? bytes.withUnsafeMutableBytes { buffer in
        // SAFETY: the array's own storage, for the length of the call.
        try ClientThread(id: tid).read(ClientAddress(rip), into: buffer)
      }
      if isRead != nil { return bytes }
    }
    return []
  }

  private func report(_ code: [UInt8], _ tid: Int32) {
    let isLoud = loudReports.withLock { reports in
      if reports == 0 { return false }
      reports -= 1
      return true
    }
    let bytes = code.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    logger.log(
      level: isLoud ? .warning : .debug,
      """
      an access to mapped registers by an instruction that is not emulated raises SIGBUS; use plain moves
      """,
      metadata: ["pid": "\(tid)", "code": "\(bytes)"])
  }
}

/// A thread's memory, where a part of it is registers.
private struct ClientRegisters: X86Memory {
  let thread: ClientThread
  let file: any VFIOFile
  let mapping: VMA

  mutating func load(_ address: UInt64, _ width: Int) throws -> UInt64 {
    if let (offset, width) = place(address, width) {
      return try file.load(at: offset, width: width)
    }
    var value: UInt64 = 0
    try withUnsafeMutableBytes(of: &value) { bytes in
      // SAFETY: a part of the value's own bytes, for the length of the call.
      try thread.read(
        ClientAddress(address), into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<width]))
    }
    return value
  }

  mutating func store(_ address: UInt64, _ width: Int, _ value: UInt64) throws {
    if let (offset, width) = place(address, width) {
      return try file.store(at: offset, width: width, value: value)
    }
    try withUnsafeBytes(of: value) { bytes in
      // SAFETY: a part of the value's own bytes, for the length of the call.
      try thread.write(
        ClientAddress(address), from: UnsafeRawBufferPointer(rebasing: bytes[..<width]))
    }
  }

  /// Where in the file it is, nil for other memory.
  private func place(_ address: UInt64, _ width: Int) -> (UInt64, AccessWidth)? {
    guard (mapping.start..<mapping.end).contains(address), let width = AccessWidth(rawValue: width)
    else { return nil }
    return (mapping.offset + (address - mapping.start), width)
  }
}
