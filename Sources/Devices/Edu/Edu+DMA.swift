import DeviceKit

extension Edu {
  /// Writes a register of the DMA engine; ignored while a transfer runs.
  func writeDMA(_ offset: UInt64, _ value: UInt64) {
    enum Outcome {
      case nothing
      case refused(EduDMA)
      case started(generation: UInt64, Range<Int>)
    }
    let outcome: Outcome = state.withLock { state in
      if state.dma.isRunning { return .nothing }
      switch offset {
      case Register.dmaSource: state.dma.source = value
      case Register.dmaDestination: state.dma.destination = value
      case Register.dmaCount: state.dma.count = value
      case Register.dmaCommand where value & EduDMA.commandRun != 0:
        guard let range = state.dma.bufferRange(for: value) else {
          return .refused(state.dma)
        }
        state.dma.command = value
        state.dma.isAbandoned = !port.isBusMaster
        return .started(generation: state.generation, range)
      default: break
      }
      return .nothing
    }
    switch outcome {
    case .nothing: break
    case .refused(let dma):
      port.report(
        """
        edu refused a transfer outside its buffer: source \(hex(dma.source)), \
        destination \(hex(dma.destination)), \(dma.count) bytes
        """)
    case .started(let generation, let range):
      port.after(EduDMA.duration) { [weak self] in self?.transfer(range, generation) }
    }
  }

  /// The time of a transfer is over: moves the bytes and finishes, unless there was a reset.
  private func transfer(_ range: Range<Int>, _ generation: UInt64) {
    enum Turn {
      case mine(EduDMA)
      case later
      case never
    }
    let turn: Turn = state.withLock { state in
      guard state.generation == generation else { return .never }
      if state.isMoving { return .later }
      state.isMoving = true
      return .mine(state.dma)
    }
    guard case .mine(let dma) = turn else {
      if case .later = turn {
        port.after(EduDMA.duration) { [weak self] in self?.transfer(range, generation) }
      }
      return
    }
    var arrived: [UInt8]?
    if !dma.isAbandoned {
      // Client memory may keep this waiting: no lock is held.
      let memory = dma.isToMemory ? dma.destination : dma.source
      let iova = IOVA(memory & EduDMA.addressMask)
      let fault: DMAFault?
      if dma.isToMemory {
        fault = port.dma.write(iova, Array(dma.buffer[range]))
      } else {
        let (bytes, readFault) = port.dma.read(iova, count: range.count)
        fault = readFault
        if readFault?.cause != .busMasterDisabled { arrived = bytes }
      }
      if let fault { port.report("edu's transfer met a DMA fault: \(fault)") }
    }
    state.withLock { state in
      state.isMoving = false
      guard state.generation == generation else { return }
      if let arrived { state.dma.buffer.replaceSubrange(range, with: arrived) }
      state.dma.command &= ~EduDMA.commandRun
      if dma.raisesInterrupt { raise(Self.dmaInterrupt, &state) }
    }
  }

  private func hex(_ value: UInt64) -> String {
    "0x" + String(value, radix: 16)
  }
}
