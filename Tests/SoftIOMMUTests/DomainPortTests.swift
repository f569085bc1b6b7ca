import ClientAccess
import DeviceKit
import Dispatch
import Glibc
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

struct DomainPortTests {
  private let memory = MemorySpace()

  private func domain() throws -> SoftIOMMU {
    memory.mmap(0x10000, pages: 1)
    let domain = SoftIOMMU()
    try domain.map(
      iova: IOVA(0), vaddr: ClientAddress(0x10000), size: 4096, permissions: [.read, .write],
      memory: memory, lockLimit: .max)
    return domain
  }

  @Test func faultsWithoutADomain() {
    let port = DomainPort()
    let (bytes, fault) = port.read(IOVA(0x1000), count: 2)
    #expect(bytes == [0, 0])
    #expect(fault == DMAFault(iova: IOVA(0x1000), cause: .noDomain))
    #expect(port.write(IOVA(0x1000), [1]) == DMAFault(iova: IOVA(0x1000), cause: .noDomain))
    #expect(port.write(IOVA(0x1000), []) == nil)
    #expect(port.read(IOVA(0x1000), count: 0).fault == nil)
  }

  @Test func goesThroughTheDomain() throws {
    let port = DomainPort()
    let domain = try domain()
    port.attach(to: domain)
    #expect(port.write(IOVA(4), [1, 2]) == nil)
    #expect(memory.peek(0x10004, count: 2) == [1, 2])
    #expect(port.read(IOVA(4), count: 2).bytes == [1, 2])
    port.detach(from: domain)
    #expect(port.write(IOVA(4), [9])?.cause == .noDomain)
    #expect(memory.peek(0x10004) == 1)
  }

  @Test func detachFromAnotherDomainIsIgnored() throws {
    let port = DomainPort()
    port.attach(to: try domain())
    port.detach(from: SoftIOMMU())
    #expect(port.write(IOVA(0), [1]) == nil)
  }

  @Test func detachWaitsForTransfersUnderWay() throws {
    let port = DomainPort()
    let domain = try domain()
    port.attach(to: domain)
    let order = Log()
    let detached = DispatchSemaphore(value: 0)
    memory.onCopy { [memory] in
      memory.onCopy(nil)
      beside {
        port.detach(from: domain)
        order.add("detached")
        detached.signal()
      }
      while port.write(IOVA(0x100), [1])?.cause != .noDomain { sched_yield() }
      for _ in 0..<1000 { sched_yield() }
      order.add("moved")
    }
    #expect(port.write(IOVA(0), [1]) == nil)
    detached.wait()
    #expect(order.entries == ["moved", "detached"])
  }

  /// Else the next user of a device could keep the one before from leaving.
  @Test func detachDoesNotWaitForTheNextDomainsTransfers() throws {
    let port = DomainPort()
    let (domain, next) = (try domain(), try domain())
    port.attach(to: domain)
    let (detached, begun) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let (goOn, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    memory.onCopy { [memory] in
      memory.onCopy {
        begun.signal()
        goOn.wait()
      }
      beside {
        port.detach(from: domain)
        detached.signal()
      }
      // Where nothing is mapped, so that nothing is copied.
      while port.write(IOVA(1 << 40), [1])?.cause != .noDomain { sched_yield() }
      port.attach(to: next)
      beside {
        #expect(port.write(IOVA(0), [2]) == nil)
        ended.signal()
      }
      begun.wait()
    }
    #expect(port.write(IOVA(0), [1]) == nil)
    #expect(detached.wait(timeout: .now() + 60) == .success)
    memory.onCopy(nil)
    goOn.signal()
    ended.wait()
  }
}
