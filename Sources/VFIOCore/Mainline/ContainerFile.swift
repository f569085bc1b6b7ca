import ClientAccess
import SoftIOMMU
import Synchronization
import SystemPackage
import VFIOABI

/// An open `/dev/vfio/vfio` (drivers/vfio/container.c).
final class ContainerFile: VFIOFile {
  let vfio: VFIO
  let id: ContainerID
  /// Whoever mapped last: who maps and unmaps by turns is not looked up anew each time.
  private let mapper = Mutex<(any AddressSpace)?>(nil)

  init(vfio: VFIO, id: ContainerID) {
    self.vfio = vfio
    self.id = id
  }

  var description: String { "container \(id.rawValue)" }

  var requests: RequestSet { .container }

  var hasPosition: Bool { false }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    let known = Mainline.ContainerRequest(rawValue: request)
    switch known {
    case .getAPIVersion: return .value(Mainline.apiVersion)
    case .checkExtension: return .value(offers(Mainline.Extension(rawValue: argument)) ? 1 : 0)
    case .setIOMMU:
      try setIOMMU(Mainline.Extension(rawValue: argument), client)
      return .value(0)
    default: break
    }
    // Everything else is the IOMMU's, and without one nobody looks at it.
    let state = vfio.state(of: id)
    guard let domain = state.domain else { throw .invalidArgument }
    // `vfio_noiommu_ops` maps nothing.
    if state.isWithoutIOMMU == true { throw .inappropriateIOCTLForDevice }
    let type1 = Type1(domain: domain)
    switch known {
    case .iommuGetInfo: try type1.getInfo(argument, client)
    case .iommuMapDMA:
      let memory = try type1.mapDMA(argument, client)
      mapper.withLock { $0 = memory }
    case .iommuUnmapDMA: try type1.unmapDMA(argument, client)
    case .iommuDirtyPages: try type1.dirtyPages(argument, client)
    default: throw .inappropriateIOCTLForDevice
    }
    return .value(0)
  }

  func release() {
    vfio.close(id)
  }

  private func offers(_ what: Mainline.Extension?) -> Bool {
    let state = vfio.state(of: id)
    // As long as no group is in it, it may become either.
    if what == .noIOMMU { return state.isWithoutIOMMU != false && state.allowsNoIOMMU }
    if state.isWithoutIOMMU == true { return false }
    return switch what {
    case .type1, .type1v2, .type1Nesting, .unmapAll: true
    case .updateVaddr: state.domain != nil
    // Like QEMU's Intel IOMMU, ours leaves coherency to the device.
    case .dmaCacheCoherent, .spaprTCE, .spaprTCEv2, .eeh, .noIOMMU, nil: false
    }
  }

  private func setIOMMU(_ what: Mainline.Extension?, _ client: any Client) throws(Errno) {
    let state = vfio.state(of: id)
    guard state.isWithoutIOMMU != nil, state.domain == nil else { throw .invalidArgument }
    // The kernel takes the driver that affirms the extension, which then finds that it is no type.
    guard offers(what) else { throw .operationNotSupportedByDevice }
    switch what {
    case .type1: try vfio.setIOMMU(.type1, of: id)
    case .type1v2: try vfio.setIOMMU(.type1v2, of: id)
    case .noIOMMU:
      guard try client.hasRawIO() else { throw .notPermitted }
      // Nothing can be mapped in it: there is no physical memory that a device could reach.
      try vfio.setIOMMU(.type1v2, of: id)
    // Two stages of translation are more than the IOMMU has.
    default: throw .invalidArgument
    }
  }
}

/// What a container's answers depend on.
struct ContainerState {
  /// Whether the groups in it are without an IOMMU, nil where there is none.
  var isWithoutIOMMU: Bool?
  var allowsNoIOMMU: Bool
  var domain: SoftIOMMU?
}
