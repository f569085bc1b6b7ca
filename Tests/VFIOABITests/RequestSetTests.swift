import Testing
import VFIOABI

struct RequestSetTests {
  @Test func aNumberMeansWhatItsFileSays() {
    let names = RequestSet.allCases.map { $0.name(of: 0x3b70) }
    #expect(
      names == [
        "VFIO_DEVICE_UNMASK_IRQ", "VFIO_IOMMU_GET_INFO", nil,
        "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
      ])
  }

  @Test func namesOfASetDiffer() {
    for set in RequestSet.allCases {
      let names = (0...0xffff as ClosedRange<UInt32>).compactMap(set.name)
      #expect(Set(names).count == names.count)
      #expect(names.allSatisfy { $0.hasPrefix("VFIO_") })
    }
  }
}
