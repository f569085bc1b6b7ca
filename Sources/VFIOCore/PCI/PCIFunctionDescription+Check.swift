import DeviceKit

extension PCIFunctionDescription {
  /// What is wrong with the description, nil where nothing is.
  var flaw: String? {
    for (number, bar) in bars.sorted(by: { $0.key < $1.key }) {
      guard (0...5).contains(number) else { return "there is no BAR \(number)" }
      let isPowerOfTwo = bar.size.nonzeroBitCount == 1
      switch bar.space {
      case .memory32:
        guard isPowerOfTwo, (16...1 << 31).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 16 bytes to 2 GiB"
        }
      case .memory64:
        // A region's offset leaves 40 bits for what is in it.
        guard isPowerOfTwo, (16...1 << 39).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 16 bytes to 512 GiB"
        }
        guard number < 5, bars[number + 1] == nil else {
          return "BAR \(number) has 64 bits and needs the next one too"
        }
      case .io:
        guard isPowerOfTwo, (4...256).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 4 to 256 ports"
        }
      }
    }
    if let msi, ![1, 2, 4, 8, 16, 32].contains(msi.vectors) {
      return "MSI must have 1, 2, 4, 8, 16 or 32 vectors"
    }
    if classCode > 0xff_ffff { return "the class code has 24 bits" }
    return nil
  }
}
