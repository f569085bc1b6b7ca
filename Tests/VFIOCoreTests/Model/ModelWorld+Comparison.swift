import DeviceKit
import SoftIOMMU
import VFIOCore

/// Whether the core is as the model says.
extension ModelWorld {
  func compareAll() {
    guard divergence == nil else { return }
    let statuses = vfio.groups
    let existing = model.sets.values.flatMap(\.groups)
    if Set(statuses.map(\.id)) != Set(existing) {
      return diverge("the core has the groups \(statuses.map(\.id)), the document \(existing)")
    }
    for status in statuses { compare(status) }
    if unbindsCarriedOut.withLock({ $0 }) != model.unbindsCarriedOut {
      diverge("\(unbindsCarriedOut.withLock { $0 }) unbinds, not \(model.unbindsCarriedOut)")
    }
    compareLocked()
    for (name, port) in ports where model.devices[name] != nil { compareMappings(name, port) }
  }

  func compare(_ status: GroupStatus) {
    let id = status.id
    guard let number = model.set(of: id), let set = model.sets[number] else { return }
    func check<T: Equatable>(_ what: String, _ got: T, _ expected: T) {
      if got != expected { diverge("\(id): \(what) is \(got), by the document \(expected)") }
    }
    check("merged set", Set(status.mergedSet), set.groups)
    check("viable", status.isViable, model.isViable(number))
    check("tainted", status.isTainted, model.tainted.contains(id))
    check("owned", status.isOwned, set.owner != nil)
    check("open", status.openCount, model.opens(.group(id)))
    let members = model.devices.values.filter { $0.group == id }.sorted { $0.name < $1.name }
    check("devices", status.members.map(\.device.name), members.map(\.name))
    check("bound", status.members.map(\.isBound), members.map(\.isBound))
    check(
      "open devices", status.members.map(\.openCount),
      members.map { model.opens(.device($0.name)) })
  }

  func compareLocked() {
    for (user, client) in clients.enumerated() {
      let pages = model.sets.values.flatMap(\.mappings.values).count { $0.user == user }
      let expected = UInt64(pages) * Self.pageSize
      if client.space.locked != expected {
        diverge("user \(user) has \(client.space.locked) bytes locked, not \(expected)")
      }
    }
  }

  /// Every device reaches what is mapped for its set, and nothing else.
  func compareMappings(_ name: String, _ port: DomainPort) {
    guard let set = model.devices[name].flatMap({ model.set(of: $0.group) }) else { return }
    let page = UInt64.random(in: 0..<Self.pages, using: &random)
    var byte: UInt8 = 0
    let fault = withUnsafeMutableBytes(of: &byte) {
      port.read(IOVA(page * Self.pageSize), into: $0)
    }
    let mapped = model.sets[set]?.mappings[page]
    let expected = mapped.flatMap {
      $0.isReadable ? UInt8($0.user * 16) + UInt8($0.vaddr) + 1 : nil
    }
    let got = fault == nil ? byte : nil
    if got != expected {
      let (got, expected) = (
        got.map { "\($0)" } ?? "nothing", expected.map { "\($0)" } ?? "nothing"
      )
      diverge("device \(name) reads \(got) of page \(page), not \(expected)")
    }
    if got != nil { count("device reads a mapping") }
  }
}
