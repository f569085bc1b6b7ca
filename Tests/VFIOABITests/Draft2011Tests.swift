import Testing

@testable import VFIOABI

/// The numbers of the draft's include/linux/vfio.h.
struct Draft2011Tests {
  @Test(arguments: [
    (Draft2011.Request.groupGetInfo, 0x3b64 as UInt32),
    (.groupMerge, 0x4004_3b65),
    (.groupUnmerge, 0x3b66),
    (.groupGetIOMMUFD, 0x3b67),
    (.groupGetDeviceFD, 0x4001_3b68),
    (.iommuGetInfo, 0x3b69),
    (.iommuMapDMA, 0x3b6a),
    (.iommuUnmapDMA, 0x3b6b),
    (.deviceGetInfo, 0x3b6c),
    (.deviceGetRegionInfo, 0x3b6d),
    (.deviceGetIRQInfo, 0x3b6e),
    (.deviceSetIRQEventfds, 0x3b6f),
    (.deviceUnmaskIRQ, 0x3b70),
    (.deviceSetUnmaskIRQEventfds, 0x3b71),
    (.deviceReset, 0x3b72),
  ])
  func requestNumbers(request: Draft2011.Request, number: UInt32) {
    #expect(request.rawValue == number)
  }

  @Test func everyRequestHasItsNumberTested() {
    #expect(Draft2011.Request.allCases.count == 15)
  }

  @Test func flags() {
    #expect(Draft2011.GroupInfo.Flags.viable.rawValue == 1)
    #expect(Draft2011.GroupInfo.Flags.mmLocked.rawValue == 2)
    #expect(Draft2011.DMAMap.Flags.read.rawValue == 1)
    #expect(Draft2011.DMAMap.Flags.write.rawValue == 2)
    #expect(Draft2011.DeviceInfo.Flags.reset.rawValue == 1)
    #expect(Draft2011.DeviceInfo.Flags.pci.rawValue == 2)
    #expect(Draft2011.RegionInfo.Flags.mmap.rawValue == 1)
    #expect(Draft2011.RegionInfo.Flags.readOnly.rawValue == 2)
    #expect(Draft2011.IRQInfo.Flags.level.rawValue == 1)
  }

  @Test func pciIndexes() {
    #expect(PCIRegion.allCases.map(\.rawValue) == Array(0...7))
    #expect(PCIRegion.rom.rawValue == 6)
    #expect(PCIRegion.config.rawValue == 7)
    #expect(PCIInterrupt.allCases.map(\.rawValue) == [0, 1, 2])
    #expect(PCIInterrupt.msi.rawValue == 1)
  }

  @Test func regionOffsets() {
    #expect(RegionOffset(index: 7).fileOffset == 7 << 40)
    let place = RegionOffset(fileOffset: 7 << 40 | 0x12_3456)
    #expect(place.index == 7)
    #expect(place.offset == 0x12_3456)
    let last = RegionOffset(fileOffset: .max)
    #expect(last.index == 0xff_ffff)
    #expect(last.offset == 1 << 40 - 1)
    #expect(last.fileOffset == .max)
  }

  @Test func argszMustCoverTheStructure() {
    var info = Draft2011.GroupInfo()
    for (argsz, isComplete) in [(0, false), (7, false), (8, true), (4096, true)] {
      info.argsz = UInt32(argsz)
      #expect(info.isComplete == isComplete)
    }
  }

  @Test func eventfdsGrowWithTheirCount() {
    var eventfds = Draft2011.IRQEventfds()
    #expect(eventfds.fullSize == 16)
    eventfds.count = .max
    #expect(eventfds.fullSize == 16 + 4 * UInt64(UInt32.max))
  }
}
