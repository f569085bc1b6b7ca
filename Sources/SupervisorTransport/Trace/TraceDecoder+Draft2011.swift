import VFIOABI

extension TraceDecoder {
  /// - Returns: empty for a request without one.
  func argument(of request: Draft2011.Request) -> String {
    switch request {
    case .groupUnmerge, .groupGetIOMMUFD, .deviceReset: ""
    case .groupMerge: load(Int32(0)).map { "[\($0)]" } ?? pointer
    case .groupGetDeviceFD: string(call.argument2)
    case .groupGetInfo:
      load(Draft2011.GroupInfo()).map {
        "{argsz=\($0.argsz), flags=\(hex(UInt64($0.flags.rawValue)))}"
      } ?? pointer
    case .iommuGetInfo:
      load(Draft2011.IOMMUInfo()).map {
        "{argsz=\($0.argsz), iova=\(hex($0.iovaMin))...\(hex($0.iovaMax)), "
          + "pgsizes=\(hex($0.pgsizeBitmap))}"
      } ?? pointer
    case .iommuMapDMA:
      load(Draft2011.DMAMap()).map {
        "{argsz=\($0.argsz), flags=\(hex(UInt64($0.flags.rawValue))), vaddr=\(hex($0.vaddr)), "
          + "iova=\(hex($0.iova)), size=\(hex($0.size))}"
      } ?? pointer
    case .iommuUnmapDMA:
      load(Draft2011.DMAUnmap()).map {
        "{argsz=\($0.argsz), iova=\(hex($0.iova)), size=\(hex($0.size))}"
      } ?? pointer
    case .deviceGetInfo:
      load(Draft2011.DeviceInfo()).map {
        "{argsz=\($0.argsz), flags=\(hex(UInt64($0.flags.rawValue))), regions=\($0.numRegions), "
          + "irqs=\($0.numIRQs)}"
      } ?? pointer
    case .deviceGetRegionInfo:
      load(Draft2011.RegionInfo()).map {
        "{argsz=\($0.argsz), flags=\(hex(UInt64($0.flags.rawValue))), index=\($0.index), "
          + "size=\(hex($0.size)), offset=\(hex($0.offset))}"
      } ?? pointer
    case .deviceGetIRQInfo:
      load(Draft2011.IRQInfo()).map {
        "{argsz=\($0.argsz), flags=\(hex(UInt64($0.flags.rawValue))), index=\($0.index), "
          + "count=\($0.count)}"
      } ?? pointer
    case .deviceSetIRQEventfds, .deviceSetUnmaskIRQEventfds:
      load(Draft2011.IRQEventfds()).map {
        "{argsz=\($0.argsz), index=\($0.index), count=\($0.count)}"
      } ?? pointer
    case .deviceUnmaskIRQ:
      load(Draft2011.UnmaskIRQ()).map {
        "{argsz=\($0.argsz), index=\($0.index), subindex=\($0.subindex)}"
      } ?? pointer
    }
  }
}
