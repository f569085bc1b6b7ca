import CFuse3
import Glibc
import Synchronization
import Testing
import Threads

@testable import FUSESessions

@Suite struct SessionTests {
  private func header(opcode: UInt32, size: UInt32 = 0, pid: UInt32 = 42) -> RequestHeader {
    var request = [UInt8](repeating: 0, count: 80)
    return request.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: opcode, toByteOffset: 4, as: UInt32.self)
      bytes.storeBytes(of: pid, toByteOffset: 32, as: UInt32.self)
      bytes.storeBytes(of: size, toByteOffset: 56, as: UInt32.self)
      var buffer = fuse_buf()
      buffer.mem = bytes.baseAddress
      return RequestHeader(buffer)
    }
  }

  @Test func requestsAreTold() {
    #expect(header(opcode: 18).isRelease)
    #expect(!header(opcode: 15).isRelease)
    #expect(header(opcode: 15, size: 4096).mayTakeLong)
    #expect(header(opcode: 16, size: 4096).mayTakeLong)
    #expect(!header(opcode: 15, size: 4).mayTakeLong)
    #expect(!header(opcode: 39, size: 4096).mayTakeLong)
    #expect(header(opcode: 39).pid == 42)
  }

  @Test func theGateWaitsForThoseInside() throws {
    let gate = ReleaseGate(workers: 2)
    gate.waitForThoseInside(except: -1)
    gate.enter(worker: 1)
    let done = Semaphore()
    let started = Semaphore()
    final class Box: Sendable {
      let passed = Atomic<Bool>(false)
    }
    let box = Box()
    try Thread.start(name: "gate") {
      started.signal()
      gate.waitForThoseInside(except: -1)
      box.passed.store(true, ordering: .sequentiallyConsistent)
      done.signal()
    }
    #expect(started.wait(milliseconds: 10_000))
    #expect(!done.wait(milliseconds: 50))
    let passed = box.passed.load(ordering: .sequentiallyConsistent)
    #expect(!passed)
    gate.waitForThoseInside(except: 1)
    gate.leave(worker: 1)
    #expect(done.wait(milliseconds: 10_000))
  }
}
