import Control
import VFIOCore

extension PCIBridge {
  /// The bridge as the bus has it; what is behind it is plugged in after it.
  init(_ bridge: Topology.Bridge) {
    self.init(
      address: bridge.address, secondary: bridge.secondary,
      vendorID: bridge.identity.vendorID, deviceID: bridge.identity.deviceID,
      revision: bridge.identity.revision)
  }
}
