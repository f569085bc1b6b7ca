import DeviceKit
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
  ///
  /// - Parameter drains: threads that wait instead, for callers that may not.
  consuming func run(drains: (any Scheduler)? = nil) {
    for (port, domain) in detached {
      if drains == nil { port.detach(from: domain) } else { port.forget(domain) }
    }
    for domain in tornDown {
      domain.tearDown { wait in
        if let drains { drains.after(.zero, wait) } else { wait() }
      }
    }
    for (completion, data) in unbound { completion(data) }
  }
}
