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
    do throws(VirtQueueFlaw) {
      let interrupts = try move(&turn)
      end(turn, interrupts: interrupts)
    } catch {
      // The queues stay as they were: a driver that goes on like this is told again.
      port.report("virtio-net stopped at what its driver put into a queue: \(error)")
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
  private func move(_ turn: inout Turn) throws(VirtQueueFlaw) -> Bool {
    var sent = try VirtQueuePass(turn.transmit, port.dma)
    var received = turn.receive.isReady ? try VirtQueuePass(turn.receive, port.dma) : nil
    while let chain = try sent.next() {
      // Nothing more to or from memory that the driver has taken back.
      guard state.withLock({ $0.generation == turn.generation }) else { return false }
      let bytes = try chain.read(port.dma, atMost: Self.headerSize + Self.maximumFrame)
      sent.giveBack(chain, written: 0)
      guard bytes.count > Self.headerSize, let room = try received?.next() else { continue }
      let header = [UInt8](repeating: 0, count: Self.headerSize)
      let written = try room.write(port.dma, header + bytes[Self.headerSize...])
      received?.giveBack(room, written: written)
    }
    guard state.withLock({ $0.generation == turn.generation }) else { return false }
    let wantsSent = try sent.finish()
    let wantsReceived = try received?.finish() ?? false
    turn.transmit = sent.queue
    if let received { turn.receive = received.queue }
    return wantsSent || wantsReceived
  }
}
