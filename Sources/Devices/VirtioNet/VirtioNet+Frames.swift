import DeviceKit

/// How frames get from the transmit queue to the receive queue.
extension VirtioNet {
  /// What a driver puts before each frame, and finds before it; all zeros without features that need it.
  private static let headerSize = 10
  private static let maximumFrame = 65536

  private struct Turn {
    var generation: UInt64
    var receive: VirtQueue
    var transmit: VirtQueue
  }

  /// Moves what is in the transmit queue, on another thread where that does not run yet.
  func sendFrames() {
    let begins = state.withLock { state in
      state.isNotified = true
      defer { state.isMoving = true }
      return !state.isMoving
    }
    if begins { port.after(.zero) { [weak self] in self?.moveFrames() } }
  }

  /// One turn of it; the next one waits behind the work of others.
  private func moveFrames() {
    guard var turn = nextTurn() else { return }
    let generation = turn.generation
    let isOver = { @Sendable [weak self] in
      self?.state.withLock { $0.generation != generation } ?? true
    }
    do throws(VirtQueueFlaw) {
      // Nothing more to or from memory that the driver has taken back.
      let interrupts = try move(&turn, DMATransfer(port.dma, isOver: isOver))
      end(turn, interrupts: interrupts)
    } catch {
      // The queues stay as they were: a driver that goes on like this is told again.
      if !isOver() {
        port.report("virtio-net stopped at what its driver put into a queue: \(error)")
      }
    }
    port.after(.zero) { [weak self] in self?.moveFrames() }
  }

  /// - Returns: nil when there is nothing to do, and then nobody does it.
  private func nextTurn() -> Turn? {
    state.withLock { state in
      let isDue =
        state.isNotified && state.status & Self.statusDriverOK != 0 && state.transmit.isReady
      state.isNotified = false
      state.isMoving = isDue
      if !isDue { return nil }
      return Turn(
        generation: state.generation, receive: state.receive, transmit: state.transmit)
    }
  }

  private func end(_ turn: Turn, interrupts: Bool) {
    state.withLock { state in
      guard state.generation == turn.generation else { return }
      state.receive = turn.receive
      state.transmit = turn.transmit
      guard interrupts else { return }
      state.interrupts |= Self.queueInterrupt
      port.setINTx(asserted: true)
    }
  }

  /// Moves frames; those that find no room to be received are lost, as on a wire.
  ///
  /// - Returns: whether the driver wants to be interrupted.
  private func move(_ turn: inout Turn, _ dma: DMATransfer) throws(VirtQueueFlaw) -> Bool {
    var sent = try VirtQueuePass(turn.transmit, dma)
    var received = turn.receive.isReady ? try VirtQueuePass(turn.receive, dma) : nil
    while let chain = try sent.next() {
      let bytes = try chain.read(dma, atMost: Self.headerSize + Self.maximumFrame)
      sent.giveBack(chain, written: 0)
      guard bytes.count > Self.headerSize, let room = try received?.next() else { continue }
      let header = [UInt8](repeating: 0, count: Self.headerSize)
      let written = try room.write(dma, header + bytes[Self.headerSize...])
      received?.giveBack(room, written: written)
    }
    let wantsSent = try sent.finish()
    let wantsReceived = try received?.finish() ?? false
    turn.transmit = sent.queue
    if let received { turn.receive = received.queue }
    return wantsSent || wantsReceived
  }
}
