import SoftIOMMU
import SystemPackage
import TestSupport
import VFIOCore

/// What bus drivers do.
extension ModelWorld {
  func coreDevice(_ name: String) -> VFIOCore.Device {
    let group = Self.devices.first { $0.name == name }?.group ?? Self.groups[0]
    return VFIOCore.Device(name: name, group: group)
  }

  func add(_ device: (name: String, group: Group)) {
    let core = coreDevice(device.name)
    let port = DomainPort()
    enum Claim: CaseIterable { case binds, fails, forgets }
    let claim = Claim.allCases.randomElement(using: &random) ?? .binds
    let arrival = Arrival(happens: Bool.random(using: &random))
    // As in `meanwhile`.
    nonisolated(unsafe) let (world, claimed) = (self, arrival)
    ops.answers.withLock { answers in
      answers.claim = { _ throws(Errno) in
        // The device is there from the start of the claim on.
        claimed.isClaimed = true
        world.arrive(device, claimed)
        if claimed.happens { world.nest() }
        if claim == .binds { world.bind(device.name) }
        if claim == .fails { throw .ioError }
      }
    }
    let got = errno { () throws(Errno) in try vfio.addDevice(core, ops: ops, port: port) }
    if !isNested { ops.answers.withLock { $0.claim = nil } }
    if !arrival.isClaimed { arrive(device, arrival) }
    if got == nil { ports[device.name] = port }
    if arrival.mustClaim { model.endClaim(device.name) }
    if arrival.mustClaim != arrival.isClaimed {
      diverge("add \(core): claimed \(arrival.isClaimed), not \(arrival.mustClaim)")
    }
    compare(
      arrival.isClaimed ? "add to a used group" : "add", "\(core) to \(device.group)", got: got,
      expected: arrival.expected)
    if model.tainted.contains(device.group) { count("tainted") }
  }

  /// What is learnt of a device while it is added.
  final class Arrival {
    let happens: Bool
    var isClaimed = false
    var mustClaim = false
    var expected: Errno?

    init(happens: Bool) { self.happens = happens }
  }

  func arrive(_ device: (name: String, group: Group), _ arrival: Arrival) {
    arrival.expected = errno { () throws(Errno) in
      arrival.mustClaim = try model.add(device.name, device.group)
    }
  }

  func delete(_ name: String) {
    vfio.deleteDevice(coreDevice(name))
    model.delete(name)
    compare("delete", name, got: nil, expected: nil)
  }

  func bind(_ name: String) {
    let got = errno { () throws(Errno) in try vfio.bindDevice(coreDevice(name), data: ops) }
    let expected = errno { () throws(Errno) in try model.bind(name) }
    compare("bind", name, got: got, expected: expected)
  }

  func unbind(_ name: String) {
    nonisolated(unsafe) let world = self
    let got = errno { () throws(Errno) in
      try vfio.unbindDevice(coreDevice(name)) { _ in
        world.unbindsCarriedOut.withLock { $0 += 1 }
      }
    }
    let expected = errno { () throws(Errno) in try model.unbind(name) }
    compare("unbind", name, got: got, expected: expected)
    if model.devices[name]?.unbindWaits == true { count("unbind waits") }
  }

  func cancelUnbind(_ name: String) {
    let got = vfio.cancelUnbind(coreDevice(name), data: ops)
    let expected = model.cancelUnbind(name)
    if got != expected { diverge("cancel the unbind of \(name): \(got), not \(expected)") }
    let outcome: Errno? = got ? nil : .invalidArgument
    compare("cancel unbind", name, got: outcome, expected: outcome)
  }

  func checkHostMayTake(_ device: (name: String, group: Group)) {
    let got = errno { () throws(Errno) in try vfio.hostTakes(coreDevice(device.name)) }
    let expected = errno { () throws(Errno) in try model.checkHostMayTake(device.name) }
    compare("host", device.name, got: got, expected: expected)
  }
}
