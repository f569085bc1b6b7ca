import Control
import DeviceKit
import Testing

@Suite struct TopologyIOMMUTests {
  private func read(_ iommu: String) throws -> Topology.IOMMU {
    try Topology(yaml: "iommu: {\(iommu)}\nbuses: []".utf8, file: "t.yaml", models: ["edu"]).iommu
  }

  @Test func whatIsLeftOpen() throws {
    let iommu = try read("group_mf: true")
    #expect(iommu.windows == nil && iommu.reserved == nil && iommu.pageSizes == nil)
    #expect(iommu.mappingLimit == nil && !iommu.reportsAllDirty)
  }

  @Test func whatIsSaid() throws {
    let iommu = try read(
      """
      iova: [0x0-0xffffffff, 0x100000000000-0xffffffffffffffff], reserved: [0xfee00000-0xfeefffff],
      page_sizes: [2M, 4K, 1G], mappings: 1000, dirty: all
      """)
    #expect(
      iommu.windows == [
        IOVA(0)...IOVA(0xffff_ffff), IOVA(0x1000_0000_0000)...IOVA(.max),
      ])
    #expect(iommu.reserved == [IOVA(0xfee0_0000)...IOVA(0xfeef_ffff)])
    #expect(iommu.pageSizes == 0x4020_1000)
    #expect(iommu.mappingLimit == 1000)
    #expect(iommu.reportsAllDirty)
    #expect(try read("reserved: [], dirty: exact").reserved == [])
  }

  @Test(arguments: [
    ("iova: []", "no address can be mapped"),
    ("iova: [0x0-0xfff0]", "\"0x0-0xfff0\" is not a range of whole pages"),
    ("iova: [0x1000-0xfff]", "\"0x1000-0xfff\" is not a range of whole pages"),
    ("reserved: [0-0xfff]", "\"0-0xfff\" is not a range of whole pages"),
    ("reserved: [0x0-0x1ffffffffffffffff]", "is not a range of whole pages"),
    ("page_sizes: [3K]", "\"3K\" is not a page size"),
    ("page_sizes: [2K]", "\"2K\" is not a page size"),
    ("page_sizes: []", "there is no page size"),
    ("mappings: 0", "\"0\" is not a number of mappings"),
    ("dirty: some", "\"some\" is not a kind of dirty tracking"),
  ])
  func whatIsWrong(yaml: String, problem: String) {
    let error = #expect(throws: TopologyError.self) { try read(yaml) }
    #expect(error?.description.contains(problem) == true, "\(error.debugDescription)")
  }
}
