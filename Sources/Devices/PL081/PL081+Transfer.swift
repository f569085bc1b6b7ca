import DeviceKit

extension PL081 {
  /// How long an item takes, so that a list without end leaves others their turn.
  static let duration = Duration.microseconds(10)

  /// Moves one item of the first channel that has one, and comes back while there are more.
  func move() {
    let next = state.withLock { $0.nextChannel() }
    if let next {
      // Client memory may keep this waiting: no lock is held.
      let dma = DMATransfer(port.dma) { [weak self] in self?.isCurrent(next) != true }
      let (after, failure) = transfer(next.channel, dma)
      if let failure, isCurrent(next) { port.report("pl081 channel \(next.index): \(failure)") }
      state.withLock { state in
        // Somebody ended it meanwhile.
        let now = state.channels[next.index]
        guard now.generation == next.channel.generation else { return }
        state.channels[next.index] = after
        // Software may have halted it, or masked its interrupts.
        state.channels[next.index].configuration =
          after.isEnabled ? now.configuration : now.configuration & ~PL081Channel.enable
        let bit: UInt32 = 1 << next.index
        if failure != nil {
          state.rawErrors |= bit
        } else if next.channel.raisesInterrupt {
          state.rawTerminalCounts |= bit
        }
        drive(state)
      }
    }
    let goesOn = state.withLock { state in
      state.isMoving = false
      return state.startsMoving()
    }
    if goesOn { port.after(Self.duration) { [weak self] in self?.move() } }
  }

  /// Whether nobody has ended what the channel does.
  private func isCurrent(_ turn: (index: Int, channel: PL081Channel)) -> Bool {
    state.withLock { $0.channels[turn.index].generation == turn.channel.generation }
  }

  /// Moves what one item says, and loads the next.
  ///
  /// - Returns: the channel as it is then, disabled after the last item and after a failure, with what failed.
  private func transfer(
    _ before: PL081Channel, _ dma: DMATransfer
  ) -> (PL081Channel, failure: String?) {
    var channel = before
    if let failure = copy(channel, dma) {
      channel.disable()
      return (channel, failure)
    }
    channel.finishItem()
    guard channel.list != 0 else {
      channel.disable()
      return (channel, nil)
    }
    let (item, fault) = dma.read(IOVA(UInt64(channel.list)), count: PL081Channel.itemSize)
    if let fault {
      channel.disable()
      return (channel, "its list met a DMA fault: \(fault)")
    }
    channel.load(item)
    return (channel, nil)
  }

  /// - Returns: what failed.
  private func copy(_ channel: PL081Channel, _ dma: DMATransfer) -> String? {
    guard let from = channel.sourceWidth, let to = channel.destinationWidth,
      channel.byteCount % to == 0, Int(channel.source) % from == 0,
      Int(channel.destination) % to == 0
    else { return "widths, addresses and size do not fit together" }
    if channel.byteCount == 0 { return nil }
    let count = channel.incrementsSource ? channel.byteCount : from
    var (bytes, fault) = dma.read(IOVA(UInt64(channel.source)), count: count)
    if !channel.incrementsSource {
      bytes = Array(repeatElement(bytes, count: channel.byteCount / from).joined())
    }
    if fault == nil {
      // Each word goes to the same place: the last one stays.
      if !channel.incrementsDestination { bytes = Array(bytes.suffix(to)) }
      fault = dma.write(IOVA(UInt64(channel.destination)), bytes)
    }
    return fault.map { "its transfer met a DMA fault: \($0)" }
  }
}

extension PL081.State {
  /// The channel whose turn it is: channel 0 has the highest priority.
  fileprivate func nextChannel() -> (index: Int, channel: PL081Channel)? {
    guard configuration & PL081.enable != 0 else { return nil }
    return channels.enumerated()
      .first { $0.element.isEnabled && !$0.element.isHalted && $0.element.isMemoryToMemory }
      .map { ($0.offset, $0.element) }
  }

  /// Whether the engine was at rest and there is something to do; it is moving then.
  mutating func startsMoving() -> Bool {
    guard !isMoving, nextChannel() != nil else { return false }
    isMoving = true
    return true
  }
}
