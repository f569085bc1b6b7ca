import CLinux
import Glibc
import SystemPackage

/// A client's thread between the return of its system call and its next instruction, ours to command.
///
/// Every method that returns nil or false has found the thread dying and seen it off.
public struct StoppedThread: ~Copyable {
  /// The red zone below the stack pointer: 128 bytes that are the thread's own (System V ABI, x86-64).
  public static let scratchSize = 128

  /// The system call that it returns from, by the numbers that it has in a 64-bit and a 32-bit program.
  public struct Call: Sendable {
    let numbers: [UInt64]

    public static let ioctl = Call(numbers: [16, 54])
    public static let chdir = Call(numbers: [80, 12])
    public static let mmap = Call(numbers: [9])
  }

  public let tid: Int32
  private let watch: StopWatch
  private let isKept: Bool
  private var returning = Call(numbers: [])
  private var registers = user_regs_struct()
  private var signalMask: UInt64 = 0
  private var savedScratch: [UInt64] = []

  /// - Parameter isKept: we trace it afterwards, too.
  init?(tid: Int32, watch: StopWatch, isKept: Bool) {
    self.tid = tid
    self.watch = watch
    self.isKept = isKept
    guard cl_ptrace_getregs(tid, &registers) == 0, cl_ptrace_getsigmask(tid, &signalMask) == 0
    else {
      watch.reap()
      return nil
    }
  }

  /// Where system calls' arguments in memory go; free for our use until `resume`.
  public var scratch: UInt64 { registers.rsp &- UInt64(Self.scratchSize) }

  /// Blocks signals and saves the scratch memory.
  ///
  /// - Throws: where this is not the 64-bit return of `call`, answered with the placeholder.
  public mutating func prepare(after call: Call) throws(TracingFailure) {
    returning = call
    let syscallInstruction: UInt64 = 0x050f
    var code: UInt64 = 0
    guard cl_ptrace_peek(tid, registers.rip &- 2, &code) == 0, code & 0xffff == syscallInstruction
    else {
      throw TracingFailure(
        errno: .notSupported, sentence: "the client is not a 64-bit program, or hides its code")
    }
    guard registers.rax == UInt64(SeizedThread.placeholder) else {
      throw TracingFailure(errno: .interrupted, sentence: "the call ended without our answer")
    }
    for offset in stride(from: 0, to: Self.scratchSize, by: 8) {
      var word: UInt64 = 0
      guard cl_ptrace_peek(tid, scratch &+ UInt64(offset), &word) == 0 else {
        throw TracingFailure(errno: .badAddress, sentence: "the client's stack cannot be used")
      }
      savedScratch.append(word)
    }
    _ = cl_ptrace_setsigmask(tid, .max)
  }

  /// Puts `words` into the scratch memory from its start.
  public func write(_ words: [UInt64]) -> Bool {
    for (i, word) in words.enumerated() {
      guard cl_ptrace_poke(tid, scratch &+ UInt64(i * 8), word) == 0 else {
        watch.reap()
        return false
      }
    }
    return true
  }

  /// The word at `offset` of the scratch memory.
  public func word(at offset: Int) -> UInt64? {
    var word: UInt64 = 0
    guard cl_ptrace_peek(tid, scratch &+ UInt64(offset), &word) == 0 else {
      watch.reap()
      return nil
    }
    return word
  }

  /// Has the thread make a system call.
  ///
  /// - Returns: what the kernel returned, a negative errno included; nil when the thread is gone.
  public func call(_ number: Int, _ arguments: UInt64...) -> Int64? {
    var r = registers
    r.rip &-= 2
    r.rax = UInt64(number)
    r.orig_rax = .max
    let a = arguments + Array(repeating: 0, count: 6 - arguments.count)
    (r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9) = (a[0], a[1], a[2], a[3], a[4], a[5])
    guard cl_ptrace_setregs(tid, &r) == 0 else {
      watch.reap()
      return nil
    }
    guard watch.runToSyscallStop(), watch.runToSyscallStop() else { return nil }
    guard cl_ptrace_getregs(tid, &r) == 0 else {
      watch.reap()
      return nil
    }
    return Int64(bitPattern: r.rax)
  }

  /// Puts everything back and lets the thread go, its call returning `result`.
  ///
  /// - Returns: false when the thread was gone.
  public consuming func resume(returning result: Int64) -> Bool {
    var r = registers
    // Where the call has ended without us, the register is the client's own.
    if r.rax == UInt64(SeizedThread.placeholder), returning.numbers.contains(r.orig_rax) {
      r.rax = UInt64(bitPattern: result)
    }
    for (i, word) in savedScratch.enumerated() {
      _ = cl_ptrace_poke(tid, scratch &+ UInt64(i * 8), word)
    }
    _ = cl_ptrace_setsigmask(tid, signalMask)
    _ = cl_ptrace_setregs(tid, &r)
    guard (isKept ? cl_trap_go_on(tid, 0) : cl_ptrace_detach(tid)) == 0 else {
      watch.reap()
      return false
    }
    return true
  }
}
