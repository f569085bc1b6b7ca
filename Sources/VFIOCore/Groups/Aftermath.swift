import SoftIOMMU

/// What a change of the registry leaves to do once its lock is free, in this order.
struct Aftermath {
  /// Devices that no longer reach a domain.
  var detached: [(port: DomainPort, domain: SoftIOMMU)] = []
  /// Domains whose set is out of use.
  var tornDown: [SoftIOMMU] = []
  /// Unbinds that waited for their set to fall out of use.
  var unbound: [(completion: @Sendable (DeviceData) -> Void, data: DeviceData)] = []

  /// Call with no lock held: it waits for client memory.
  consuming func run() {
    for (port, domain) in detached { port.detach(from: domain) }
    for domain in tornDown { domain.tearDown() }
    for (completion, data) in unbound { completion(data) }
  }
}
