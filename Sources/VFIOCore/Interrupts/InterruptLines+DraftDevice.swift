public import ClientAccess
public import SystemPackage
public import VFIOABI

/// Devices whose interrupts are lines of their own have the ioctls on them by that.
public protocol LineInterrupts {
  var interrupts: InterruptLines { get }
}

extension DraftDevice where Self: LineInterrupts {
  public var interruptCount: Int { interrupts.lines.count }

  public func interrupt(_ index: Int) -> (count: Int, flags: Draft2011.IRQInfo.Flags) {
    let line = interrupts.lines[index]
    return (line.count, line.isLevel ? .level : [])
  }

  public func checkSignalsFree(_ index: Int) throws(Errno) {
    try interrupts.checkSignalsFree(index)
  }

  public func setSignals(_ index: Int, _ signals: [(any EventSignal)?]) throws(Errno) {
    try interrupts.setSignals(index, signals)
  }

  public func clearSignals(_ index: Int) throws(Errno) { try interrupts.clearSignals(index) }

  public func unmask(_ index: Int) throws(Errno) { try interrupts.unmask(index) }

  public func checkUnmaskSignalFree(_ index: Int) throws(Errno) {
    try interrupts.checkUnmaskSignalFree(index)
  }

  public func setUnmaskSignal(_ index: Int, _ signal: any EventSignal) throws(Errno) {
    try interrupts.setUnmaskSignal(index, signal)
  }

  public func clearUnmaskSignal(_ index: Int) { interrupts.clearUnmaskSignal(index) }
}
