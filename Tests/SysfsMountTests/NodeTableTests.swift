import Glibc
import Sysfs
import SystemPackage
import Testing

@testable import Sysfs
@testable import SysfsMount

struct NodeTableTests {
  let table = NodeTable()
  let path = ["bus", "pci", "rescan"]
  let readable = SysfsNode.file(SysfsFile(0o444, read: { () throws(Errno) in [] }))
  let writable = SysfsNode.file(SysfsFile(0o200, write: { _ throws(Errno) in .done }))

  @Test func aPathHasOneInode() {
    #expect(NodeTable.inode(of: []) == NodeTable.root)
    #expect(NodeTable.inode(of: path) == NodeTable.inode(of: path))
    #expect(NodeTable.inode(of: path) != NodeTable.inode(of: ["bus", "pci"]))
    let attributes = table.attributes(of: writable, at: path, started: timespec())
    #expect(attributes.st_ino == NodeTable.inode(of: path))
    #expect(attributes.st_mode == S_IFREG | 0o200)
  }

  @Test func theKernelForgetsAsOftenAsItWasTold() {
    let number = table.remember(readable, at: path)
    #expect(table.remember(readable, at: path) == number)
    #expect(table.path(of: number) == path)
    table.forget(number, 1)
    #expect(table.path(of: number) == path)
    table.forget(number, 5)
    #expect(table.path(of: number) == nil)
    table.forget(number, 1)
    #expect(table.path(of: NodeTable.root) == [])
  }

  /// Or a write that waits would keep all others of the file waiting.
  @Test func writersDoNotMeet() {
    let first = table.remember(writable, at: path)
    let second = table.remember(writable, at: path)
    #expect(first != second)
    table.forget(first, 1)
    #expect(table.path(of: first) == nil)
    #expect(table.path(of: second) == path)
  }

  @Test func changesBelongToThePath() {
    table.change(path) {
      $0.permissions = 0o220
      $0.group = 7
    }
    var attributes = table.attributes(of: writable, at: path, started: timespec())
    #expect(attributes.st_mode == S_IFREG | 0o220)
    #expect(attributes.st_uid == 0)
    #expect(attributes.st_gid == 7)
    table.reset(path)
    attributes = table.attributes(of: writable, at: path, started: timespec())
    #expect(attributes.st_mode == S_IFREG | 0o200)
    #expect(attributes.st_gid == 0)
  }

  @Test func readsFollowTheOneFromTheStart() throws {
    final class Text: @unchecked Sendable {
      // @unchecked: used by this test's thread alone.
      var bytes = Array("first".utf8)
    }
    let text = Text()
    let file = OpenNode.File(
      SysfsFile(0o444, read: { () throws(Errno) in text.bytes }), isAdministrator: true)
    #expect(try file.read(at: 0, 2).elementsEqual("fi".utf8))
    text.bytes = Array("other".utf8)
    #expect(try file.read(at: 2, 100).elementsEqual("rst".utf8))
    #expect(try file.read(at: 0, 100).elementsEqual("other".utf8))
    #expect(try file.read(at: 5, 100).isEmpty)
    #expect(try file.read(at: .max, 100).isEmpty)
    #expect(throws: Errno.badFileDescriptor) { try file.write([1]) }
  }

  @Test func whoeverIsNoAdministratorSeesTheHeader() throws {
    var config = SysfsFile(0o444, read: { () throws(Errno) in Array(0...255) })
    config.isBinary = true
    config.unprivilegedSize = 64
    let user = OpenNode.File(config, isAdministrator: false)
    #expect(try user.read(at: 0, 256).count == 64)
    #expect(try user.read(at: 60, 256).elementsEqual([60, 61, 62, 63]))
    #expect(try user.read(at: 64, 1).isEmpty)
    let root = OpenNode.File(config, isAdministrator: true)
    #expect(try root.read(at: 250, 256).count == 6)
  }
}
