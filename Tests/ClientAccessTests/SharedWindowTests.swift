import CLinux
import Glibc
import SystemPackage
import Testing

@testable import ClientAccess

/// Ways to the file behind a client's shared mapping.
struct SharedWindowTests {
  private static let page: UInt64 = 4096

  /// A device's memory, as a client has it: peer-to-peer, and what a descriptor of a client's is found by.
  private func mapped(
    _ memory: SharedMemory
  ) throws -> (address: UInt64, vma: VMA, maps: MemoryMap) {
    let start = mmap(
      nil, Int(memory.size), PROT_READ | PROT_WRITE, MAP_SHARED, memory.descriptor, 0)
    let address = UInt64(UInt(bitPattern: try #require(start == MAP_FAILED ? nil : start)))
    let maps = try MemoryMap(pid: getpid())
    return (address, try #require(try maps.vma(at: address)), maps)
  }

  @Test func theMemoryOfADevice() throws {
    let memory = try SharedMemory(name: "bar", size: 4 * Self.page)
    let (address, vma, maps) = try mapped(memory)
    defer { munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), Int(memory.size)) }
    let device = try memory.window(0..<memory.size)
    let window = try #require(SharedWindows(tgid: getpid()).window(vma, maps: maps))
    var bytes: [UInt8] = [1, 2, 3]
    let isDone = bytes.withUnsafeMutableBytes { buffer in
      SharedWindow.copy(
        .toClient, buffer.baseAddress.unsafelyUnwrapped,
        host: address &+ Self.page &+ window.offset, count: 3)
    }
    #expect(isDone)
    var back = [UInt8](repeating: 0, count: 3)
    back.withUnsafeMutableBytes { device.read(at: Int(Self.page), into: $0) }
    #expect(back == bytes)
  }

  /// What a client has mapped of a device is told apart, to the byte.
  @Test func aDevicesMappingIsTold() throws {
    let memory = try SharedMemory(name: "bar", size: 4 * Self.page)
    let (address, vma, _) = try mapped(memory)
    defer { munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), Int(memory.size)) }
    let device = ClientAddress(address)..<ClientAddress(address + memory.size)
    for (isDevice, expected) in [(true, [device]), (false, [])] {
      let space = try ProcessAddressSpace(thread: getpid(), tgid: getpid()) {
        isDevice && $0.inode == vma.inode
      }
      let second = ClientAddress(address + Self.page)
      let extent = try space.mapped(second..<device.upperBound, writable: true)
      #expect(extent.end == device.upperBound)
      #expect(extent.window != nil)
      #expect(extent.devices == expected)
    }
  }

  /// A client moves its mappings while we look: what is counted out of a size may not be more than that.
  @Test func devicesMappingsThatAreSeenTwiceAreOne() {
    func found(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
      var devices: [Range<ClientAddress>] = []
      for range in ranges {
        devices.add(found: ClientAddress(range.lowerBound)..<ClientAddress(range.upperBound))
      }
      return devices.map { $0.lowerBound.rawValue..<$0.upperBound.rawValue }
    }
    #expect(found([0..<4, 8..<12]) == [0..<4, 8..<12])
    #expect(found([0..<4, 4..<8]) == [0..<8])
    #expect(found([4..<8, 0..<16]) == [4..<16])
    #expect(found([0..<4, 8..<12, 0..<4, 8..<12, 10..<14]) == [0..<4, 8..<14])
  }

  /// Each mapping in a domain keeps them: so many are not told.
  @Test func manyDevicesMappingsAreTheClientsOwn() throws {
    let memory = try SharedMemory(name: "many", size: Self.page)
    let count = 2 * 65 + 1
    let start = try #require(
      mmap(nil, count * Int(Self.page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { munmap(start, count * Int(Self.page)) }
    for i in stride(from: 0, to: count, by: 1) {
      let flags = i % 2 == 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED
      #expect(
        mmap(
          start + i * Int(Self.page), Int(Self.page), PROT_READ | PROT_WRITE, flags | MAP_FIXED,
          i % 2 == 0 ? -1 : memory.descriptor, 0) != MAP_FAILED)
    }
    let inode = try #require(try ClientThread(id: getpid()).mapping(at: address(start, 1))?.inode)
    let space = try ProcessAddressSpace(thread: getpid(), tgid: getpid()) { $0.inode == inode }
    for (pages, expected) in [(2 * 64 + 1, 64), (count, 0)] {
      let extent = try space.mapped(
        ClientAddress(address(start, 0))..<ClientAddress(address(start, pages)), writable: true)
      #expect(extent.end == ClientAddress(address(start, pages)))
      #expect(extent.devices.count == expected)
    }
  }

  private func address(_ start: UnsafeMutableRawPointer, _ page: Int) -> UInt64 {
    UInt64(UInt(bitPattern: start)) + UInt64(page) * Self.page
  }

  /// The way of those who are not root, and may not open `map_files`.
  @Test func aDescriptorOfTheFileIsFound() throws {
    let memory = try SharedMemory(name: "found", size: 4 * Self.page)
    let (address, vma, _) = try mapped(memory)
    defer { munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), Int(memory.size)) }
    func find(_ inode: UInt64) -> Int32 {
      cl_vma_open_held(getpid(), vma.deviceMajor, vma.deviceMinor, inode, true)
    }
    let fd = find(vma.inode)
    try #require(fd >= 0)
    defer { close(fd) }
    #expect(cl_vma_is_memory_file(fd, vma.deviceMajor, vma.deviceMinor, vma.inode))
    #expect(!cl_vma_is_memory_file(fd, vma.deviceMajor, vma.deviceMinor, vma.inode + 1))
    #expect(find(.max) < 0)
  }

  @Test func aFileOnADiskIsNone() throws {
    let fd = open("/usr/bin/env", O_RDONLY)
    try #require(fd >= 0)
    defer { close(fd) }
    let start = mmap(nil, 4096, PROT_READ, MAP_SHARED, fd, 0)
    let address = UInt64(UInt(bitPattern: try #require(start == MAP_FAILED ? nil : start)))
    defer { munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), 4096) }
    let maps = try MemoryMap(pid: getpid())
    let vma = try #require(try maps.vma(at: address))
    #expect(SharedWindows(tgid: getpid()).window(vma, maps: maps) == nil)
  }
}
