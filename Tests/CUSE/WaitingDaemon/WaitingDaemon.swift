import CUSETransport
import Glibc
import Logging
import SystemPackage
import Threads
import VFIOCore

/// Serves `/dev/vfio/test:1` with one device, `waiting`, whose ioctls are answered later: a bus driver
/// in small, for the transport's deferred answers.
final class WaitingOps: DeviceOps {
  private static let after: UInt32 = 0x3bf0
  private static let never: UInt32 = 0x3bf1
  private let work: WorkPool

  init(work: WorkPool) {
    self.work = work
  }

  func match(_ device: Device, _ string: String) -> Bool { device.name == string }
  func open(_ data: DeviceData) {}
  func release(_ data: DeviceData) {}

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    throw .invalidArgument
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    throw .invalidArgument
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    let answer = DeferredAnswer {}
    switch request {
    case Self.after:
      work.after(.milliseconds(argument)) { answer.complete(.success(.value(7))) }
    case Self.never:
      break
    default:
      throw .inappropriateIOCTLForDevice
    }
    return .later(answer)
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    throw .invalidArgument
  }
}

private final class Nothing: Sendable {}

@main
struct WaitingDaemon {
  static func main() throws {
    // Before there are threads, so that it comes to none of them but by sigwait.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    let logger = Logger(label: "waiting-daemon")
    let vfio = VFIO(logger: logger)
    let work = WorkPool()
    let device = Device(name: "waiting", group: VFIOCore.GroupID(bus: "test", number: 1))
    try vfio.addDevice(device, ops: WaitingOps(work: work))
    try vfio.bindDevice(device, data: Nothing())
    let transport = try CUSETransport(
      vfio: vfio, options: CUSETransport.Options(), logger: logger)
    try transport.start()
    print("ready")
    fflush(nil)
    var signal: Int32 = 0
    sigwait(&signals, &signal)
    transport.stop()
  }
}
