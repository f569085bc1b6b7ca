import CLinux
import Glibc
import Testing

/// The filter, run by a small interpreter of what it may consist of.
@Suite struct FilterTests {
  private static let allow: UInt32 = 0x7fff_0000
  private static let notify: UInt32 = 0x7fc0_0000
  private static let noFunction: UInt32 = 0x0005_0000 | UInt32(ENOSYS)
  private static let machine: UInt32 = 0xc000_003e
  private static let workingDirectory = UInt64(bitPattern: -100)

  private let filter: [sock_filter]

  init() throws {
    var filter = [sock_filter](repeating: sock_filter(), count: 256)
    let length = cl_seccomp_filter(&filter, filter.count, true)
    try #require(length > 0)
    self.filter = Array(filter[..<Int(length)])
  }

  @Test func tooLittleRoomIsAnError() {
    var filter = [sock_filter](repeating: sock_filter(), count: 8)
    #expect(cl_seccomp_filter(&filter, filter.count, false) == -E2BIG)
  }

  @Test func everyPathEndsInAResult() {
    for number in 0..<512 {
      let result: UInt32 = action(number, [0, 0, 0, 0, 0, 0])
      #expect([Self.allow, Self.notify, Self.noFunction].contains(result))
    }
  }

  @Test func otherMachinesAreLeftAlone() {
    #expect(action(16, [3, 0x3b64], machine: 0x4000_0003) == Self.allow)
  }

  @Test func x32IsRefused() {
    #expect(action(0x4000_0000 + 514, [3, 0x3b64]) == Self.noFunction)
  }

  @Test func onlyVFIOIoctls() {
    #expect(action(16, [3, 0x3b64]) == Self.notify)
    #expect(action(16, [3, 0x4001_3b68]) == Self.notify)
    #expect(action(16, [3, 0x5401]) == Self.allow)
  }

  @Test(arguments: [0, 1])
  func transfersOfAnySizeButRecordsOfTar(number: Int) {
    for size: UInt64 in [0, 4, 8, 4096, 4097, 8192, 10239, 10241, 65535, 65536, 1 << 32] {
      #expect(action(number, [3, 0, size]) == Self.notify, "\(size)")
      #expect(action(number, [1000, 0, size]) == Self.notify, "\(size)")
    }
    #expect(action(number, [3, 0, 10240]) == Self.allow)
    #expect(action(number, [3, 0, 10240 + 1 << 32]) == Self.notify)
    #expect(action(number, [1, 0, 65536]) == Self.allow)
  }

  @Test func fewerBytesOfStandardDescriptors() {
    #expect(action(0, [0, 0, 1]) == Self.allow)
    #expect(action(0, [0, 0, 2]) == Self.notify)
    #expect(action(0, [2, 0, 8]) == Self.notify)
    #expect(action(0, [0, 0, 9]) == Self.allow)
    #expect(action(1, [1, 0, 1]) == Self.notify)
    #expect(action(1, [1, 0, 64]) == Self.notify)
    #expect(action(1, [2, 0, 65]) == Self.allow)
  }

  @Test func whatMovesDataOrThePosition() {
    for number in [8, 19, 20, 40, 275, 326] {
      #expect(action(number, [7, 8, 9]) == Self.notify)
    }
  }

  @Test func everyPread() {
    for number in [17, 18, 295, 296, 327, 328] {
      #expect(action(number, [1, 0, 1 << 20]) == Self.notify)
    }
  }

  @Test func mappingsOfFiles() {
    #expect(action(9, [0, 4096, 3, 1, 5]) == Self.notify)
    #expect(action(9, [0, 4096, 3, 3, 5]) == Self.notify)
    #expect(action(9, [0, 4096, 3, 0x801, 5]) == Self.notify)
    #expect(action(9, [0, 4096, 3, 2, 5]) == Self.notify)
    #expect(action(9, [0, 4096, 3, 0x21, UInt64(bitPattern: -1)]) == Self.allow)
    #expect(action(9, [0, 4096, 3, 0x21, 0xffff_ffff]) == Self.allow)
    #expect(action(9, [0, 4096, 3, 0x22, 0]) == Self.allow)
  }

  @Test func mappingsOfTheDynamicLinker() {
    #expect(action(9, [0, 4096, 5, 0x802, 3]) == Self.allow)
    #expect(action(9, [0, 4096, 3, 0x812, 3, 0x1000]) == Self.allow)
    #expect(action(9, [0, 4096, 3, 0x802, 3, 1 << 40]) == Self.notify)
  }

  @Test func mappingsThatGrow() {
    #expect(action(25, [0, 4096, 8192]) == Self.notify)
    #expect(action(25, [0, 4096, 1 << 32]) == Self.notify)
    #expect(action(25, [0, 4096, 4096]) == Self.allow)
    #expect(action(25, [0, 8192, 4096]) == Self.allow)
  }

  @Test func opensFromTheWorkingDirectory() {
    #expect(action(257, [Self.workingDirectory, 0, 0]) == Self.notify)
    #expect(action(257, [0xffff_ff9c, 0, 0]) == Self.notify)
    #expect(action(257, [5, 0, 0]) == Self.allow)
    #expect(action(257, [5, 0, 0o2000002]) == Self.notify)
    #expect(action(257, [5, 0, 0o1]) == Self.notify)
    #expect(action(257, [5, 0, 0o101]) == Self.allow)
    #expect(action(262, [5, 0, 0, 0]) == Self.allow)
    #expect(action(262, [Self.workingDirectory, 0, 0, 0]) == Self.notify)
  }

  @Test func ownersFromAnyDirectory() {
    #expect(action(260, [5, 0, 0, 0, 0]) == Self.notify)
    #expect(action(268, [5, 0, 0]) == Self.notify)
  }

  @Test func dumpable() {
    #expect(action(157, [4, 0]) == Self.notify)
    #expect(action(157, [3]) == Self.notify)
    #expect(action(157, [38, 1]) == Self.allow)
  }

  private func action(
    _ number: Int, _ arguments: [UInt64], machine: UInt32 = FilterTests.machine
  ) -> UInt32 {
    let arguments = arguments + Array(repeating: 0, count: 6 - arguments.count)
    // struct seccomp_data: number, machine, instruction pointer, arguments.
    let words: [UInt32] =
      [UInt32(number), machine, 0, 0]
      + arguments.flatMap { [UInt32(truncatingIfNeeded: $0), UInt32($0 >> 32)] }
    var (a, x, at): (UInt32, UInt32, Int) = (0, 0, 0)
    while filter.indices.contains(at) {
      let i = filter[at]
      at += 1
      switch i.code {
      case 0x20: a = words[Int(i.k / 4)]
      case 0x06: return i.k
      case 0x07: x = a
      case 0x1d: at += Int(a == x ? i.jt : i.jf)
      case 0x2d: at += Int(a > x ? i.jt : i.jf)
      case 0x54: a &= i.k
      case 0x15: at += Int(a == i.k ? i.jt : i.jf)
      case 0x25: at += Int(a > i.k ? i.jt : i.jf)
      case 0x35: at += Int(a >= i.k ? i.jt : i.jf)
      case 0x45: at += Int(a & i.k != 0 ? i.jt : i.jf)
      default: return 0
      }
    }
    return 0
  }
}
