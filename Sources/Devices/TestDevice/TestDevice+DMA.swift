import DeviceKit

extension TestDevice {
  /// Bytes that move at a time: a reset or bus mastering going off takes effect between them.
  static let chunk = 64 << 10
  private static let retry = Duration.milliseconds(1)

  /// The command register was written. Call with the lock held.
  func start(_ state: inout State) {
    guard let operation = state.dma.operation else { return }
    let size = UInt64(port.memory(bar: Self.memory)?.count ?? 0)
    let length = UInt64(state.dma.length)
    let isInside = state.dma.offset <= size && length <= size - state.dma.offset
    guard operation == .fill || isInside else {
      state.dma.status = .failed
      return
    }
    state.dma.status = .busy
    state.dma.isAbandoned = false
    let generation = state.generation
    port.after(.zero) { [weak self] in self?.transfer(generation) }
  }

  private func transfer(_ generation: UInt64) {
    enum Turn {
      case mine(TestDeviceDMA)
      case later
      case never
    }
    let turn: Turn = state.withLock { state in
      guard state.generation == generation else { return .never }
      if state.isMoving { return .later }
      state.isMoving = true
      return .mine(state.dma)
    }
    switch turn {
    case .never: break
    case .later: port.after(Self.retry) { [weak self] in self?.transfer(generation) }
    case .mine(let dma): finish(move(dma, generation), generation)
    }
  }

  /// - Returns: what stopped it, nil where all of it went through.
  private func move(_ dma: TestDeviceDMA, _ generation: UInt64) -> DMAFault? {
    guard let memory = port.memory(bar: Self.memory) else { return nil }
    var done: UInt64 = 0
    while done < UInt64(dma.length) {
      let goesOn = state.withLock { $0.generation == generation && !$0.dma.isAbandoned }
      let iova = IOVA(dma.address &+ done)
      guard goesOn else { return DMAFault(iova: iova, cause: .busMasterDisabled) }
      let count = Int(min(UInt64(Self.chunk), UInt64(dma.length) - done))
      // Client memory may keep this waiting: no lock is held.
      if let fault = moveChunk(dma, memory, done, iova, count) { return fault }
      done += UInt64(count)
    }
    return nil
  }

  private func moveChunk(
    _ dma: TestDeviceDMA, _ memory: any DeviceMemory, _ done: UInt64, _ iova: IOVA, _ count: Int
  ) -> DMAFault? {
    switch dma.operation {
    case .load:
      let (bytes, fault) = port.dma.read(iova, count: count)
      if fault == nil { memory.write(at: Int(dma.offset + done), bytes) }
      return fault
    case .store:
      return port.dma.write(iova, memory.read(at: Int(dma.offset + done), count: count))
    case .fill:
      // Chunks are whole patterns, so that each begins like the first.
      return port.dma.write(
        iova, (0..<count).map { UInt8(truncatingIfNeeded: dma.pattern >> UInt32(8 * ($0 % 4))) })
    case nil: return nil
    }
  }

  private func finish(_ fault: DMAFault?, _ generation: UInt64) {
    if let fault { port.report("testdev's transfer met a DMA fault: \(fault)") }
    state.withLock { state in
      state.isMoving = false
      guard state.generation == generation else { return }
      state.dma.status = fault == nil ? .done : .failed
      state.dma.fault = fault?.iova.rawValue ?? 0
      state.transfers &+= 1
      guard let vector = state.dma.vector else { return }
      if port.isMSIEnabled {
        send(vector, &state)
      } else {
        state.isINTxRaised = true
        port.setINTx(asserted: true)
      }
    }
  }
}
