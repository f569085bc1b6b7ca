import CPlugin
public import DeviceKit
import Glibc
public import Logging
import SystemPackage
public import VFIOCore

/// Loads plug-ins: bus drivers and device models in shared objects (`vfio-cused/plugin.h`).
///
/// For the time before there are clients, and for one thread. What was loaded stays for as long as the program.
public struct PluginHost: Sendable {
  /// The models that plug-ins registered, by name.
  public private(set) var pciKinds: [String: PCIFunctionKind] = [:]
  public private(set) var platformKinds: [String: PlatformDeviceKind] = [:]
  private let vfio: VFIO
  private let scheduler: any Scheduler
  private let logger: Logger
  private let taken: Set<String>
  /// The dynamic linker's handles, as numbers.
  private var handles: Set<UInt> = []

  private static let symbol = "vfio_cused_plugin"

  /// - Parameters:
  ///   - scheduler: runs what plug-ins want done later.
  ///   - taken: names of models that are there already.
  public init(
    vfio: VFIO, scheduler: any Scheduler, logger: Logger, taken: some Sequence<String> = []
  ) {
    self.vfio = vfio
    self.taken = Set(taken)
    self.scheduler = scheduler
    self.logger = logger
  }

  /// Loads a plug-in and starts it.
  ///
  /// - Parameters:
  ///   - file: a path, relative to the working directory.
  ///   - parameters: what its init gets.
  public mutating func load(
    _ file: String, parameters: [String: String] = [:]
  ) throws(PluginError) {
    let plugin = try open(file)
    let host = HostTable.make(for: plugin.calls)
    let result = start(plugin.start, host, parameters)
    let (pci, platform, errors) = plugin.calls.started()
    guard result == 0 else {
      let reason =
        (-133...(-1)).contains(result)
        ? errors.last ?? "\(Errno(rawValue: -result))"
        : "its init returned \(result), which is neither 0 nor a negative errno"
      throw PluginError(file: file, problem: "it did not start: \(reason)")
    }
    for error in errors { plugin.calls.log(UInt32(VFIO_LOG_ERROR.rawValue), error) }
    for name in pci.map(\.name) + platform.map(\.name) {
      if taken.contains(name) || pciKinds[name] != nil || platformKinds[name] != nil {
        throw PluginError(
          file: file, problem: "there is a device model \(name) already; give its own another name")
      }
    }
    for kind in pci { pciKinds[kind.name] = kind }
    for kind in platform { platformKinds[kind.name] = kind }
  }

  private typealias Start =
    @convention(c) (
      UnsafePointer<vfio_host>?, UnsafePointer<vfio_plugin_parameter>?, Int
    ) -> Int32

  private mutating func open(
    _ file: String
  ) throws(PluginError) -> (start: Start, calls: Plugin) {
    // Without a slash the dynamic linker would look elsewhere.
    let path = file.contains("/") ? file : "./" + file
    if access(path, R_OK) != 0 {
      throw PluginError(
        file: file, problem: "it cannot be read (\(Errno(rawValue: errno))); name one that can",
        isMissing: true)
    }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      // SAFETY: text that is valid until this thread's next call of the dynamic linker.
      let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
      throw PluginError(file: file, problem: "it is no shared object that can be loaded: \(reason)")
    }
    // Never closed: whatever it has given us may be called at any time.
    guard handles.insert(UInt(bitPattern: handle)).inserted else {
      throw PluginError(file: file, problem: "it is loaded already; name it once")
    }
    guard let symbol = dlsym(handle, Self.symbol) else {
      throw PluginError(
        file: file,
        problem: "it has no symbol \(Self.symbol); say VFIO_PLUGIN(name, init) in one of its files")
    }
    // SAFETY: the symbol of that name is a `struct vfio_plugin`, whose first eight bytes never change.
    let abi = symbol.load(as: UInt32.self)
    guard abi == UInt32(VFIO_PLUGIN_ABI) else {
      throw PluginError(
        file: file,
        problem:
          "it was built for version \(abi) of vfio-cused/plugin.h, and this program has version "
          + "\(VFIO_PLUGIN_ABI); build it with the header of this program")
    }
    let size = Int(symbol.load(fromByteOffset: 4, as: UInt32.self))
    guard size >= MemoryLayout<vfio_plugin>.size,
      let start = symbol.load(as: vfio_plugin.self).`init`
    else {
      throw PluginError(
        file: file,
        problem:
          "its \(Self.symbol) is incomplete; make it by VFIO_PLUGIN(name, init), init not NULL")
    }
    var logger = logger
    let name = try? copyText(symbol.load(as: vfio_plugin.self).name, limit: 64)
    logger[metadataKey: "plugin"] = "\(name ?? file)"
    return (start, Plugin(vfio: vfio, scheduler: scheduler, logger: logger))
  }

  private func start(
    _ start: Start, _ host: UnsafePointer<vfio_host>, _ parameters: [String: String]
  ) -> Int32 {
    // SAFETY: copies of our own, freed when init has returned.
    let list = parameters.map {
      vfio_plugin_parameter(name: strdup($0.key), value: strdup($0.value))
    }
    defer {
      for parameter in list {
        free(UnsafeMutableRawPointer(mutating: parameter.name))
        free(UnsafeMutableRawPointer(mutating: parameter.value))
      }
    }
    return list.withUnsafeBufferPointer { start(host, $0.baseAddress, $0.count) }
  }
}
