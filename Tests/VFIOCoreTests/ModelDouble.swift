import DeviceKit
import Synchronization
import TestSupport

/// A model that writes down what reaches it; reads give the offset, bytes 0x10 to 0x17.
final class ModelDouble: PCIFunctionModel {
  let port: any PCIFunctionPort
  let log = Log()

  init(port: any PCIFunctionPort) {
    self.port = port
  }

  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    log.add("r\(bar) \(offset) \(width.rawValue)")
    return (0..<8).reduce(0) { $0 | ((offset + $1) & 0xff) << (8 * $1) }
  }

  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    log.add("w\(bar) \(offset) \(width.rawValue) \(String(value, radix: 16))")
  }

  func reset() {
    log.add("reset")
  }

  func busMasterChanged(isEnabled: Bool) {
    log.add("master \(isEnabled)")
  }

  /// Makes kinds of it, and keeps the last model made.
  final class Maker: Sendable {
    private let made = Mutex<ModelDouble?>(nil)

    var model: ModelDouble? { made.withLock { $0 } }

    func kind(_ description: PCIFunctionDescription) -> PCIFunctionKind {
      PCIFunctionKind(name: "double", description: description) { port in
        let model = ModelDouble(port: port)
        self.made.withLock { $0 = model }
        return model
      }
    }
  }
}

extension PCIFunctionDescription {
  /// One of everything.
  static let double = PCIFunctionDescription(
    vendorID: 0x1111, deviceID: 0x2222, revision: 3, classCode: 0x020100,
    subsystemVendorID: 0x3333, subsystemID: 0x4444,
    bars: [
      0: .memory32(size: 4096), 1: .io(size: 32), 2: .memory64(size: 1 << 33, prefetchable: true),
      4: .memory32(size: 18 + 14, prefetchable: true),
    ],
    interruptPin: .b, msi: .init(vectors: 4, is64Bit: true, perVectorMasking: true),
    reset: .none)
}
