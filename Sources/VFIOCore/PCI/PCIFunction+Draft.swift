import ClientAccess
import SystemPackage
import VFIOABI

/// What the draft ABI says of a PCI function; the indexes are those of `PCIRegion` and `PCIInterrupt`.
extension PCIFunction: DraftDevice {
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
