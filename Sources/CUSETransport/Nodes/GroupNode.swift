import CFuse3
import CLinux
import ClientAccess
import FUSESessions
import Glibc
import Logging
import Synchronization
import SystemPackage
import Threads
import VFIOCore

/// The character device of a group or of containers: a CUSE session and what it answers.
///
/// @unchecked: `session` is set once, before the session can see a request; the session holds the node,
/// not the other way round.
final class GroupNode: SessionHandler, @unchecked Sendable {
  private enum Creation: Sendable {
    case pending
    case ready
    case failed(String)
  }

  /// What a node is of, and so what opening it gives.
  enum Kind: Hashable, Sendable {
    case group(VFIOCore.GroupID)
    case mainlineGroup(VFIOCore.GroupID)
    case noIOMMUGroup(VFIOCore.GroupID)
    case container

    /// The node's name in our directory under `/dev`.
    var name: String {
      switch self {
      case .group(let group): "\(group)"
      case .mainlineGroup(let group): "\(group.number)"
      case .noIOMMUGroup(let group): group.noIOMMUName
      case .container: "vfio"
      }
    }
  }

  /// The ioctl by which we ask which open file a descriptor leads to; no client gets an answer.
  static let which: UInt32 = 0x3bff

  /// `/dev/vfio/pci:240`
  let path: String
  let device: FileIdentity.DeviceNumber
  private let name: String
  private let kind: Kind
  private let transport: CUSETransport
  private let creation = Mutex(Creation.pending)
  private let openFiles = Mutex(OpenFiles())
  private let settled = Semaphore()
  private(set) weak var session: FUSESession?

  private struct OpenFiles {
    var numbers: [ObjectIdentifier: Int32] = [:]
    var files: [Int32: any VFIOFile] = [:]
    var next: Int32 = 1

    mutating func insert(_ open: OpenFile) {
      // Numbers in use are skipped, should they ever come round.
      while files[next] != nil { next = next == .max ? 1 : next + 1 }
      numbers[ObjectIdentifier(open)] = next
      files[next] = open.file
    }

    mutating func remove(_ open: OpenFile) {
      if let number = numbers.removeValue(forKey: ObjectIdentifier(open)) { files[number] = nil }
    }
  }

  init(_ kind: Kind, device: FileIdentity.DeviceNumber, transport: CUSETransport) {
    self.kind = kind
    self.device = device
    self.transport = transport
    name = "\(transport.options.devicePrefix)/\(kind.name)"
    path = "/dev/" + name
  }

  /// Waits for the kernel to make the node.
  ///
  /// - Throws: where it does not.
  func waitUntilMade() throws(TransportError) {
    guard settled.wait(milliseconds: 30_000) else {
      throw TransportError(.system, "the kernel did not make \(path) in time")
    }
    if case .failed(let sentence) = creation.withLock({ $0 }) {
      throw TransportError(.cannotCreate, sentence)
    }
  }

  /// The open file that descriptor `fd` of the thread leads to, one of ours. Those of a group are all the
  /// same group to whoever names one; of containers, the kernel brings us the answer when we ask by a copy.
  func file(_ thread: ClientThread, _ fd: Int32) -> (any VFIOFile)? {
    guard kind == .container else { return openFiles.withLock { $0.files.first?.value } }
    guard let copy = try? thread.copy(of: fd) else { return nil }
    let number = cl_ask(copy.rawValue, Self.which)
    return number < 0 ? nil : openFiles.withLock { $0.files[number] }
  }

  /// Opens the session; the kernel makes the node when the session is served.
  func connect() throws(TransportError) -> FUSESession {
    let fd = cl_open("/dev/cuse", O_RDWR, 0)
    guard fd >= 0 else { throw .noCUSE(Errno(rawValue: -fd)) }
    // SAFETY: libfuse copies the arguments and the operations; the handler outlives the session, which
    // holds it.
    let pointer: OpaquePointer? = withCArguments(["vfio-cused"]) { arguments in
      "DEVNAME=\(name)".withCString { deviceName in
        var information: UnsafePointer<CChar>? = deviceName
        return withUnsafeMutablePointer(to: &information) { list in
          var info = cuse_info(
            dev_major: device.major, dev_minor: device.minor, dev_info_argc: 1,
            dev_info_argv: list, flags: UInt32(CUSE_UNRESTRICTED_IOCTL))
          var operations = GroupNode.operations
          return cuse_lowlevel_new(
            &arguments, &info, &operations, Unmanaged.passUnretained(self).toOpaque())
        }
      }
    }
    guard let pointer, fuse_session_mount(pointer, "/dev/fd/\(fd)") == 0 else {
      close(fd)
      throw TransportError(.system, "libfuse cannot make a CUSE session for \(path)")
    }
    do {
      let session = try FUSESession(owning: pointer, handler: self)
      self.session = session
      return session
    } catch {
      throw TransportError(
        .system, "cannot make the CUSE session of \(path) non-blocking: \(error)")
    }
  }

  /// A container gives no access to anything, as on the kernel.
  private var mode: UInt32 {
    switch kind {
    case .group: transport.options.mode ?? 0o660
    case .mainlineGroup, .noIOMMUGroup: transport.options.mode ?? 0o600
    case .container: 0o666
    }
  }

  /// The kernel has made the node: it gets its mode and owner before anybody is told of it.
  fileprivate func initDone() {
    let options = transport.options
    var failure: String?
    if (try? FileIdentity(path: path))?.characterDevice != device {
      failure = "\(path) is not the node that was made; is something else managing /dev?"
    } else if chown(path, options.owner, options.group) != 0 || chmod(path, mode) != 0 {
      failure = "cannot set mode and owner of \(path): \(Errno(rawValue: errno))"
    }
    settle(failure.map(Creation.failed) ?? .ready)
  }

  func sessionEnded() {
    settle(.failed("the kernel refused to register \(path); its name or number is taken"))
  }

  private func settle(_ outcome: Creation) {
    let changed = creation.withLock { creation in
      guard case .pending = creation else { return false }
      creation = outcome
      return true
    }
    if changed { settled.signal() }
  }

  // MARK: Requests

  fileprivate func open(_ request: consuming Request, _ info: UnsafeMutablePointer<fuse_file_info>?)
  {
    // A set that was closed has dissolved before one of its groups is open again.
    transport.files.settle()
    do throws(Errno) {
      let open = OpenFile(try newFile(CUSEClient(request.thread, transport.clients)))
      openFiles.withLock { $0.insert(open) }
      let handle = open.retainedHandle()
      info?.pointee.fh = handle
      info?.pointee.direct_io = 1
      if !request.opened(info) { release(handle) }
    } catch {
      request.fail(error)
    }
  }

  private func newFile(_ client: CUSEClient) throws(Errno) -> any VFIOFile {
    switch kind {
    case .group(let group): try transport.vfio.openGroup(group)
    case .mainlineGroup(let group), .noIOMMUGroup(let group):
      try transport.vfio.openMainlineGroup(group, by: client)
    case .container: transport.vfio.openContainer()
    }
  }

  fileprivate func release(_ handle: UInt64) {
    _ = OpenFile.with(handle) { open in openFiles.withLock { $0.remove(open) } }
    OpenFile.release(handle)
  }

  fileprivate func ioctl(
    _ request: consuming Request, _ command: UInt32, _ argument: UInt64, _ handle: UInt64,
    _ input: UnsafeRawBufferPointer, outputSize: Int
  ) {
    let thread = request.thread
    if command == Self.which, thread.isOurs {
      let number = OpenFile.with(handle) { open in
        openFiles.withLock { $0.numbers[ObjectIdentifier(open)] }
      }
      guard let number = number ?? nil else { return request.fail(.badFileDescriptor) }
      return request.ioctl(number)
    }
    // What the answer depends on may be a close that has returned already.
    transport.files.settle()
    if transport.pool.isBarred(request.user) {
      return request.fail(.resourceTemporarilyUnavailable)
    }
    let exchange = transport.retries.resume(thread, command, argument, input, outputSize)
    let client = CUSEClient(thread, transport.clients, exchange: exchange)
    let result = OpenFile.with(handle) { open in
      Result { () throws(Errno) in try open.file.ioctl(command, argument, from: client) }
    }
    guard let result else { return request.fail(.badFileDescriptor) }
    if let exchange = client.exchange, exchange.isIncomplete {
      transport.retries.save(exchange, thread, command, argument)
      request.retryIoctl(inputs: exchange.inputVectors, outputs: exchange.outputVectors)
      return
    }
    transport.answer(
      request, of: session, with: result, output: client.exchange?.output ?? [])
  }

  /// Shared by all nodes; libfuse copies it.
  private static var operations: cuse_lowlevel_ops {
    var ops = cuse_lowlevel_ops()
    ops.init_done = { GroupNode.from($0).initDone() }
    ops.open = { GroupNode.from(fuse_req_userdata($0)).open(Request($0), $1) }
    ops.read = { request, _, _, _ in Request(request).fail(.invalidArgument) }
    ops.write = { request, _, _, _, _ in Request(request).fail(.invalidArgument) }
    ops.release = { request, info in
      let handle = info.handle
      GroupNode.from(fuse_req_userdata(request)).release(handle)
      Request(request).succeed()
    }
    ops.ioctl = { request, command, argument, info, _, input, inputSize, outputSize in
      GroupNode.from(fuse_req_userdata(request)).ioctl(
        Request(request), UInt32(bitPattern: command), UInt64(UInt(bitPattern: argument)),
        info.handle, UnsafeRawBufferPointer(start: input, count: inputSize),
        outputSize: outputSize)
    }
    return ops
  }

  private static func from(_ userdata: UnsafeMutableRawPointer?) -> GroupNode {
    // SAFETY: the userdata of every CUSE session is its node, which the session keeps alive.
    Unmanaged<GroupNode>.fromOpaque(userdata.unsafelyUnwrapped).takeUnretainedValue()
  }
}

extension ClientThread {
  /// Whether it is a thread of this very process.
  fileprivate var isOurs: Bool { (try? ProcFS.status(of: id).tgid) == getpid() }
}

extension TransportError {
  static func noCUSE(_ error: Errno) -> TransportError {
    switch error {
    case .noSuchFileOrDirectory, .operationNotSupportedByDevice, .noSuchAddressOrDevice:
      TransportError(.unavailable, "/dev/cuse is not there; load the module with: modprobe cuse")
    case .permissionDenied, .notPermitted:
      TransportError(.notPermitted, "/dev/cuse: permission denied; run vfio-cused serve as root")
    default:
      TransportError(.system, "cannot open /dev/cuse: \(error)")
    }
  }
}
