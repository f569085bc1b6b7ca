import CLinux
import ClientAccess
import Glibc
import SystemPackage
import Testing

@testable import SupervisorTransport

struct NodeOwnersTests {
  let owners = NodeOwners()
  let node = "/dev/vfio/pci:240"

  /// This thread, as somebody without capabilities.
  private func caller(_ user: UInt32 = geteuid(), _ groups: [UInt32] = [7]) throws -> Credentials {
    var caller = try Credentials(of: ClientThread(id: cl_gettid()))
    caller.capabilities = 0
    caller.user = user
    caller.groups = groups
    return caller
  }

  @Test func theCallerIsWhoItIs() throws {
    let me = try Credentials(of: ClientThread(id: cl_gettid()))
    #expect(me.user == geteuid())
    #expect(me.groups.first == getegid())
  }

  @Test func theOwnerGivesItToAGroupOfHis() throws {
    try owners.chown(node, .max, 7, by: caller())
    #expect(owners.owner(of: node).group == 7)
    try owners.chown(node, geteuid(), .max, by: caller())
    #expect(throws: Errno.notPermitted) { try owners.chown(node, .max, 8, by: caller()) }
    #expect(throws: Errno.notPermitted) { try owners.chown(node, 4711, .max, by: caller()) }
    #expect(owners.owner(of: node).user == geteuid())
    owners.forget(node)
    #expect(owners.owner(of: node).group == getegid())
  }

  @Test func othersMayNotTakeIt() throws {
    #expect(throws: Errno.notPermitted) { try owners.chown(node, 4711, 7, by: caller(4711)) }
    #expect(throws: Errno.notPermitted) { try owners.chmod(node, 0o666, by: caller(4711)) }
    var root = try caller(4711)
    root.capabilities = 1 << 0
    try owners.chown(node, 4711, .max, by: root)
    #expect(owners.owner(of: node).user == 4711)
    try owners.chmod(node, 0o100600, by: caller(4711))
    #expect(owners.owner(of: node).mode == 0o600)
  }

  @Test func permissionsAreThoseOfOwnerGroupAndOthers() throws {
    var root = try caller()
    root.capabilities = 1
    try owners.chown(node, 4711, 7, by: root)
    func permits(_ wanted: UInt32, _ caller: Credentials) throws -> Bool {
      try owners.permits(node, mode: 0o642, wanted) { () throws(Errno) in caller }
    }
    #expect(try permits(6, caller(4711)))
    #expect(try permits(4, caller(1)))
    #expect(try !permits(2, caller(1)))
    #expect(try permits(2, caller(1, [8])))
    #expect(try !permits(4, caller(1, [8])))
    root.capabilities = 1 << 1
    #expect(try permits(7, root))
  }
}
