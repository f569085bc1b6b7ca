public import SystemPackage
public import VFIOCore

/// The emulated `/sys`: names, contents, and what writing does.
///
/// A view of a machine's buses and VFIO groups. Nothing is kept: every look computes what it shows, so
/// that the tree is always true. How it is shown, mounted or merged into the machine's own, is not its
/// business, and neither are callers: it does not check permissions. Calls come from any thread.
public struct SysfsTree: Sendable {
  /// The directory `/sys` itself.
  public let root: SysfsDirectory
  private let machine: SysfsMachine

  /// - Parameters:
  ///   - bus: whose functions are shown; `vfio` must be the core that it is on.
  ///   - platform: the same for platform devices.
  ///   - options: what the buses do not know.
  public init(
    bus: PCIBus, platform: PlatformBus, vfio: VFIO, options: SysfsOptions = SysfsOptions()
  ) {
    let machine = SysfsMachine(bus: bus, platform: platform, vfio: vfio, options: options)
    self.machine = machine
    root = .root(machine)
  }

  /// Whether a device or a bus has this name, which does not look like one: those that are not on PCI.
  public func hasDevice(named name: String) -> Bool {
    if machine.platform.device(named: name) != nil { return true }
    return machine.otherBuses.contains { $0 == name || machine.device(name, on: $0) != nil }
  }

  /// What `path` leads to, no symlink followed: the kernel's walk, one component at a time.
  ///
  /// Makes the nodes on the path and no others.
  ///
  /// - Parameter path: names below `/sys`; none for `/sys` itself. `.` and `..` are no names.
  /// - Returns: nil where there is nothing, or where something before the end is no directory.
  public func lookup(_ path: some Sequence<String>) -> SysfsNode? {
    var node = SysfsNode.directory(root)
    for name in path {
      guard case .directory(let directory) = node, let next = directory[name] else { return nil }
      node = next
    }
    return node
  }

  /// Resolves `path` as the kernel does: `.`, `..` and symlinks.
  ///
  /// - Parameters:
  ///   - path: relative to `directory`, components separated by `/`.
  ///   - directory: a directory's own path below `/sys`, in components.
  ///   - followsLast: whether a symlink at the end is followed too, as `stat` does and `lstat` does not.
  /// - Returns: the place below `/sys`, free of symlinks up to the last component.
  /// - Throws: `ENOENT`, also for what leads out of `/sys`; `ENOTDIR`; `ELOOP` after 40 symlinks (fs/namei.c).
  public func resolve(
    _ path: String, from directory: [String] = [], followsLast: Bool = true
  ) throws(Errno) -> [String] {
    var place = directory
    var rest = Self.components(path)
    var symlinks = 0
    while let name = rest.popLast() {
      guard let here = lookup(place) else { throw .noSuchFileOrDirectory }
      guard case .directory(let directory) = here else { throw .notDirectory }
      if name == "." { continue }
      if name == ".." {
        if place.popLast() == nil { throw .noSuchFileOrDirectory }
        continue
      }
      guard let node = directory[name] else { throw .noSuchFileOrDirectory }
      if case .symlink(let target) = node, followsLast || !rest.isEmpty {
        symlinks += 1
        if symlinks > 40 { throw .tooManySymbolicLinkLevels }
        rest += Self.components(target)
      } else {
        place.append(name)
      }
    }
    return place
  }

  /// The last one first.
  private static func components(_ path: String) -> [String] {
    path.split(separator: "/").reversed().map(String.init)
  }
}
