import VFIOABI

extension TraceDecoder {
  /// - Returns: empty for a request without one.
  func argument(of request: Mainline.ContainerRequest) -> String {
    switch request {
    case .getAPIVersion: ""
    case .checkExtension, .setIOMMU:
      Mainline.Extension(rawValue: call.argument2).map { "\($0)" } ?? "\(call.argument2)"
    case .iommuGetInfo:
      load(Mainline.IOMMUInfo()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), iova_pgsizes=\(hex($0.iovaPgsizes))}"
      } ?? pointer
    case .iommuMapDMA:
      load(Mainline.DMAMap()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), vaddr=\(hex($0.vaddr)), "
          + "iova=\(hex($0.iova)), size=\(hex($0.size))}"
      } ?? pointer
    case .iommuUnmapDMA:
      load(Mainline.DMAUnmap()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), iova=\(hex($0.iova)), size=\(hex($0.size))}"
      } ?? pointer
    case .iommuDirtyPages:
      load(Mainline.DirtyPages()).map { "{argsz=\($0.argsz), flags=\(flags($0.flags))}" } ?? pointer
    }
  }

  func argument(of request: Mainline.GroupRequest) -> String {
    switch request {
    case .getStatus:
      load(Mainline.GroupStatus()).map { "{argsz=\($0.argsz), flags=\(flags($0.flags))}" }
        ?? pointer
    case .setContainer: load(Int32(0)).map { "[\($0)]" } ?? pointer
    case .unsetContainer: ""
    case .getDeviceFD: string(call.argument2)
    }
  }

  func argument(of request: Mainline.DeviceRequest) -> String {
    switch request {
    case .getInfo:
      load(Mainline.DeviceInfo()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), num_regions=\($0.numRegions), "
          + "num_irqs=\($0.numIRQs)}"
      } ?? pointer
    case .getRegionInfo:
      load(Mainline.RegionInfo()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), index=\($0.index), "
          + "cap_offset=\($0.capOffset), size=\(hex($0.size)), offset=\(hex($0.offset))}"
      } ?? pointer
    case .getIRQInfo:
      load(Mainline.IRQInfo()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), index=\($0.index), count=\($0.count)}"
      } ?? pointer
    case .setIRQs:
      load(Mainline.IRQSet()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), index=\($0.index), start=\($0.start), "
          + "count=\($0.count)}"
      } ?? pointer
    case .reset: ""
    case .getPCIHotResetInfo, .pciHotReset: pointer
    case .ioeventfd:
      load(Mainline.IOEventFD()).map {
        "{argsz=\($0.argsz), flags=\(flags($0.flags)), offset=\(hex($0.offset)), "
          + "data=\(hex($0.data)), fd=\($0.fd)}"
      } ?? pointer
    case .feature:
      load(Mainline.DeviceFeature()).map { "{argsz=\($0.argsz), flags=\(flags($0.flags))}" }
        ?? pointer
    }
  }

  private func flags(_ flags: some RawRepresentable<UInt32>) -> String {
    hex(UInt64(flags.rawValue))
  }
}
