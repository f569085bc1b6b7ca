import ClientAccess
import SoftIOMMU
import SystemPackage
import VFIOABI

/// What the draft ABI says of a PCI function; the indexes are those of `PCIRegion` and `PCIInterrupt`.
extension PCIFunction: BusHardware {
  var domainPort: DomainPort { pins.domainPort }

  func open() { open(resets: false) }
  func close() { close(resets: false) }

  func read(
    _ place: RegionOffset, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try read(region(place.index), at: place.offset, into: buffer)
  }

  func write(_ place: RegionOffset, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int {
    try write(region(place.index), at: place.offset, from: buffer)
  }

  private func region(_ index: UInt32) throws(Errno) -> PCIRegion {
    guard let region = PCIRegion(rawValue: index) else { throw .invalidArgument }
    return region
  }

  func map(_ request: MapRequest) throws(Errno) -> MapBacking {
    try map(request, sparesMSIX: true)
  }

  var flags: Draft2011.DeviceInfo.Flags { hasReset ? [.pci, .reset] : .pci }
  var regionCount: Int { PCIRegion.allCases.count }
  var interruptCount: Int { PCIInterrupt.allCases.count }

  func region(_ index: Int) -> (size: UInt64, flags: Draft2011.RegionInfo.Flags) {
    let region = PCIRegion.allCases[index]
    var flags: Draft2011.RegionInfo.Flags = region == .rom ? .readOnly : []
    if !mappableAreas(of: region, sparesMSIX: true).isEmpty { flags.insert(.mmap) }
    return (size(of: region), flags)
  }

  func interrupt(_ index: Int) -> (count: Int, flags: Draft2011.IRQInfo.Flags) {
    let interrupt = PCIInterrupt.allCases[index]
    return (count(of: interrupt), interrupt == .intx ? .level : [])
  }

  func checkSignalsFree(_ index: Int) throws(Errno) {
    if pins.enabledInterrupt != nil { throw .invalidArgument }
  }

  func setSignals(_ index: Int, _ signals: [(any EventSignal)?]) throws(Errno) {
    try pins.enable(PCIInterrupt.allCases[index], signals)
  }

  func clearSignals(_ index: Int) throws(Errno) {
    try pins.disable(PCIInterrupt.allCases[index])
  }

  // INTx alone is level-triggered.

  func unmask(_ index: Int) throws(Errno) { try pins.unmaskINTx() }

  func checkUnmaskSignalFree(_ index: Int) throws(Errno) {
    if pins.hasUnmaskSignal != false { throw .invalidArgument }
  }

  func setUnmaskSignal(_ index: Int, _ signal: any EventSignal) throws(Errno) {
    try pins.setUnmaskSignal(signal)
  }

  func clearUnmaskSignal(_ index: Int) { pins.clearUnmaskSignal() }
}
