import DeviceKit
import Devices
import Dispatch
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Clients and the bus driver at once, at random. What each call answers depends on the others; what must
/// hold is that nothing is left over when everybody is gone.
struct StressTests {
  @Test(arguments: 1...4)
  func nothingIsLeftOver(seed: Int) throws {
    let machine = try Machine()
    let clients = (0..<3).map { _ in MemoryClient() }
    DispatchQueue.concurrentPerform(iterations: 6) { worker in
      var random = SplitMix64(seed: UInt64(seed * 100 + worker))
      if worker == 4 {
        drive(machine, &random)
      } else if worker == 5 {
        plug(machine, &random)
      } else {
        // Two of the workers are threads of one client.
        use(machine, clients[worker % 3], &random)
      }
    }
    machine.scheduler.advance(by: .seconds(1))
    for client in clients { #expect(client.space.locked == 0) }
    #expect(machine.vfio.groups.map(\.id.number) == [240, 241, 242])
    for group in machine.vfio.groups {
      #expect(group.mergedSet == [group.id])
      #expect(group.openCount == 0)
      #expect(group.members.allSatisfy { $0.openCount == 0 })
      #expect(!group.isOwned && !group.isTainted)
    }
    #expect(machine.bus.functions.allSatisfy { !$0.isUnbinding })
    // What was being unplugged when its removal was asked for again has gone by itself.
    #expect(machine.bus.functions.count == 4)
  }

  /// System calls of a client, each of which may fail; closes all that it opened.
  private func use(_ machine: Machine, _ client: MemoryClient, _ random: inout SplitMix64) {
    client.space.mmap(0x7000_0000, pages: 16)
    var groups: [Int32] = []
    var iommus: [Int32] = []
    var devices: [Int32] = []
    func close(_ list: inout [Int32], _ random: inout SplitMix64) {
      guard let i = list.indices.randomElement(using: &random) else { return }
      client.close(list.remove(at: i))
    }
    for _ in 0..<400 {
      do throws(Errno) {
        switch Int.random(in: 0..<13, using: &random) {
        case 0: groups.append(try client.open(machine.vfio, .random(in: 240...242, using: &random)))
        case 1: close(&groups, &random)
        case 2, 3:
          guard let group = groups.randomElement(using: &random) else { continue }
          iommus.append(try client.getIOMMU(group))
        case 4: close(&iommus, &random)
        case 5:
          guard let group = groups.randomElement(using: &random),
            let file = try client.file(group)
          else { continue }
          // Not through the argument page, which another thread may be using.
          let at = 0x7000_8000 as UInt64
          let names = ["0000:06:0d.0", "0000:06:0d.1", "0000:07:00.0", "0000:08:00.0"]
          let name = names.randomElement(using: &random) ?? ""
          client.space.poke(at, Array(name.utf8) + [0])
          let request = Draft2011.Request.groupGetDeviceFD.rawValue
          if case .file(let device) = try file.ioctl(request, at, from: client) {
            devices.append(client.install(.file(device)))
          }
        case 6, 7: close(&devices, &random)
        case 8:
          guard let iommu = iommus.randomElement(using: &random) else { continue }
          try client.mapDMA(
            iommu, iova: .random(in: 0...7, using: &random) << 12, vaddr: 0x7000_0000, size: 4096)
        case 9:
          guard let iommu = iommus.randomElement(using: &random) else { continue }
          try client.unmapDMA(iommu, iova: 0, size: 4096 * 4)
        case 10:
          guard let a = groups.randomElement(using: &random),
            let b = groups.randomElement(using: &random)
          else { continue }
          try client.merge(a, b)
        case 11:
          guard let group = groups.randomElement(using: &random) else { continue }
          try client.ioctl(group, .groupUnmerge)
        default:
          guard let device = devices.randomElement(using: &random) else { continue }
          try client.runDMA(
            machine, device, source: 0, destination: 0x40000, command: 1)
        }
      } catch {
        // Busy, not permitted, not viable just now: all fine.
      }
    }
    for descriptor in groups + iommus + devices { client.close(descriptor) }
  }

  /// Plugs functions into groups that may be in use, and unplugs them; binds them to whatever.
  private func plug(_ machine: Machine, _ random: inout SplitMix64) {
    let late = ["0000:06:0d.2", "0000:07:00.1", "0000:08:00.1"].compactMap(PCIAddress.init)
    let drivers: [PCIBus.Driver] = [.vfio, .host("edu"), .none]
    for _ in 0..<200 {
      guard let i = late.indices.randomElement(using: &random),
        let driver = drivers.randomElement(using: &random)
      else { return }
      do throws(BusError) {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: try machine.bus.remove(late[i])
        case 1: try machine.bus.bind(late[i], to: driver)
        default:
          try machine.bus.add(
            address: late[i], kind: Edu.kind, group: 240 + UInt32(i), driver: driver)
        }
      } catch {
        // There already, or on its way out.
      }
    }
    // Out for good, once nobody uses their groups.
    for address in late { _ = try? machine.bus.remove(address) }
  }

  /// Takes functions from vfio and gives them back, at the same time.
  private func drive(_ machine: Machine, _ random: inout SplitMix64) {
    for _ in 0..<200 {
      guard let function = machine.bus.functions.randomElement(using: &random) else { return }
      do throws(BusError) {
        if function.driver == .none {
          try machine.bus.bind(function.address, to: .vfio)
        } else {
          try machine.bus.unbind(function.address)
        }
      } catch {
        // Being unbound already.
      }
    }
  }
}
