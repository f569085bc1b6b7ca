import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOCore

@testable import Sysfs

/// Writes that wait for a group to fall out of use.
struct WaitingWriteTests {
  let machine: TestMachine
  let use: ClientDouble.Use
  let log = Log()
  let device = "bus/pci/devices/0000:00:02.0"
  let address: PCIAddress

  init() throws {
    machine = try TestMachine()
    use = try ClientDouble().use(machine, 3)
    address = try #require(PCIAddress(TestMachine.onRoot))
  }

  /// Writes, and logs the answer when it comes.
  private func start(_ text: String, _ path: String) throws -> DeferredAnswer {
    guard case .later(let answer) = try machine.echo(text, path) else {
      throw Errno.alreadyInProcess
    }
    answer.whenComplete { [log] answer in
      switch answer {
      case .success(.value(let count)): log.add("\(count)")
      case .success: log.add("something else")
      case .failure(let error): log.add("\(error)")
      }
    }
    return answer
  }

  @Test func unbindWaits() throws {
    let answer = try start(TestMachine.onRoot, "\(device)/driver/unbind")
    #expect(log.entries == [])
    #expect(machine.bus.function(at: address)?.isUnbinding == true)
    // Another one does not wait along, and nobody gets the function meanwhile.
    #expect(
      try machine.echoError(TestMachine.onRoot, "bus/pci/drivers/vfio/unbind") == .resourceBusy)
    #expect(
      try machine.echoError(TestMachine.onRoot, "bus/pci/drivers/vfio/bind") == .resourceBusy)
    #expect(try machine.readlink("\(device)/driver") == "../../../bus/pci/drivers/vfio")
    use.end()
    #expect(log.entries == ["13"])
    #expect(!machine.exists("\(device)/driver"))
    #expect(!answer.cancel())
    #expect(try machine.echoError(TestMachine.onRoot, "bus/pci/drivers/vfio/bind") == nil)
  }

  /// Somebody killed the shell: the function stays with vfio.
  @Test func anUnbindIsTakenBack() throws {
    let answer = try start(TestMachine.onRoot, "\(device)/driver/unbind")
    #expect(answer.cancel())
    #expect(machine.bus.function(at: address)?.isUnbinding == false)
    use.end()
    #expect(machine.bus.function(at: address)?.driver == .vfio)
    #expect(log.entries == [])
  }

  @Test func removeWaits() throws {
    _ = try start("1", "\(device)/remove")
    #expect(try machine.echoError("1", "\(device)/remove") == .resourceBusy)
    try machine.echo("1", "bus/pci/rescan")
    #expect(machine.exists(device))
    use.end()
    #expect(log.entries == ["2"])
    #expect(!machine.exists(device))
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.driver(TestMachine.onRoot) == .vfio)
  }

  @Test func aRemovalIsTakenBack() throws {
    let answer = try start("1", "\(device)/remove")
    #expect(answer.cancel())
    use.end()
    #expect(machine.bus.function(at: address)?.driver == .vfio)
    try machine.echo(TestMachine.onRoot, "\(device)/driver/unbind")
    #expect(machine.exists(device))
    #expect(log.entries == [])
  }

  /// Plugged into a group in use, it is claimed: the unbinding of the others does not keep it out.
  @Test func rescanIntoAGroupInUse() throws {
    try machine.add("0000:00:04.0", group: 3, driver: .vfio)
    let added = "bus/pci/devices/0000:00:04.0"
    _ = try start("1", "\(added)/remove")
    use.end()
    #expect(!machine.exists(added))
    let again = try ClientDouble().use(machine, 3)
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.driver("0000:00:04.0") == .vfio)
    #expect(machine.vfio.group(.init(bus: "pci", number: 3))?.isViable == true)
    again.end()
  }

  /// Writers, users and a watcher at once: nothing waits for good, and every write has one answer.
  @Test func everybodyAtOnce() async throws {
    use.end()
    let rounds = 300
    let (expected, given) = (Log(), Log())
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<2 {
        group.addTask { [machine, expected, given] in
          for round in 0..<rounds {
            guard let result = try? machine.echo(TestMachine.onRoot, "bus/pci/drivers/vfio/unbind")
            else {
              _ = try? machine.echo(TestMachine.onRoot, "bus/pci/drivers/vfio/bind")
              continue
            }
            if case .later(let answer) = result {
              expected.add("write")
              answer.whenComplete { _ in given.add("write") }
              if (round + writer).isMultiple(of: 3), answer.cancel() {
                given.add("write")
              }
            }
            _ = try? machine.echo(TestMachine.onRoot, "bus/pci/drivers/vfio/bind")
          }
        }
      }
      group.addTask { [machine] in
        for _ in 0..<rounds { try? ClientDouble().use(machine, 3).end() }
      }
      group.addTask { [machine] in
        for _ in 0..<rounds {
          if let place = try? machine.tree.resolve("bus/pci/devices/0000:00:02.0/driver") {
            #expect(place.last == "vfio")
          }
        }
      }
    }
    #expect(given.entries.count == expected.entries.count)
    #expect(machine.bus.function(at: address)?.isUnbinding == false)
  }
}
