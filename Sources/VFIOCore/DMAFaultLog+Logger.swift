import DeviceKit
public import Logging
public import SoftIOMMU

extension DMAFaultLog {
  /// Tells `logger`.
  public static func reporting(to logger: Logger) -> DMAFaultLog {
    DMAFaultLog { event, untold in
      var metadata: Logger.Metadata = [
        "device": "\(event.device)", "iova": "\(event.fault.iova)",
        "direction": "\(event.direction)", "size": "\(event.count)",
        "cause": "\(event.fault.cause)",
      ]
      if let nearest = event.nearest {
        metadata["nearest"] = "\(nearest.lowerBound)-\(nearest.upperBound)"
      }
      if untold > 0 { metadata["untold"] = "\(untold)" }
      logger.warning("DMA fault: \(event)", metadata: metadata)
    }
  }
}
