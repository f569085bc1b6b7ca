import CLinux
import ClientAccess
import Glibc
import SystemPackage
import Transport
import VFIOCore

/// System calls on paths: the emulated ones are answered, all others carried out by the kernel.
struct PathCalls: Sendable {
  let tree: CombinedTree
  let scratch: ScratchTree
  let files: OpenFiles
  let clients: ClientServices
  let owners: NodeOwners
  let workingDirectories: WorkingDirectories
  private let attributes: NodeAttributes

  init(
    tree: CombinedTree, scratch: ScratchTree, files: OpenFiles, clients: ClientServices,
    owners: NodeOwners, workingDirectories: WorkingDirectories
  ) {
    self.clients = clients
    self.owners = owners
    self.workingDirectories = workingDirectories
    attributes = NodeAttributes(owners)
    self.tree = tree
    self.scratch = scratch
    self.files = files
  }

  /// Where a call's path leads; nil where that is none of our business, and the call has been let go.
  func resolve(
    _ call: Call, _ address: UInt64, directory: UInt64, followsLast: Bool
  ) throws(Errno) -> PathResolver.Result? {
    guard
      let argument = PathArgument(
        call, at: address, directory: directory, tree: tree, scratch: scratch)
    else { return nil }
    return try resolve(argument, call, followsLast: followsLast)
  }

  func resolve(
    _ argument: PathArgument, _ call: Call, followsLast: Bool
  ) throws(Errno) -> PathResolver.Result? {
    let result: PathResolver.Result
    do throws(Errno) {
      result = try PathResolver(tree: tree)
        .resolve(
          argument.path, in: argument.base, isElsewhere: argument.isFromScratch,
          followsLast: followsLast)
      if case .untouched = result { return nil }
    } catch {
      guard argument.isInOurRoot, call.isWaiting else { return nil }
      throw error
    }
    guard argument.isInOurRoot, call.isWaiting else { return nil }
    // The machine's own files are for the caller's rights, not for ours.
    if case .real(let path) = result {
      // To us /proc is another one: /proc/self is ourselves.
      let isOurs = path == "/proc" || path.hasPrefix("/proc/")
      let isLikeUs = try owners.isLikeUs(call.thread)
      if isOurs || !isLikeUs {
        // The kernel finds by itself what a directory of ours shows of the machine's.
        if argument.isFromScratch && !argument.path.contains("..") { return nil }
        throw .permissionDenied
      }
    }
    return result
  }

  /// What the caller has open of ours, where the path is a link to it.
  private func linked(_ argument: PathArgument, _ call: Call) -> OpenFile? {
    guard !files.isEmpty, let link = ProcessLink(argument.path, caller: call.thread),
      case .descriptor(let number) = link.target,
      let open = try? files.file(number, of: link.owner), argument.isInOurRoot, call.isWaiting
    else { return nil }
    return open
  }

  private func argument(_ call: Call, _ address: UInt64, _ directory: UInt64) -> PathArgument? {
    PathArgument(call, at: address, directory: directory, tree: tree, scratch: scratch)
  }

  static let workingDirectory = UInt64(bitPattern: Int64(AT_FDCWD))

  // MARK: open

  func open(_ call: Call) {
    open(call, call.argument0, directory: Self.workingDirectory, flags: Call.int(call.argument1))
  }

  func creat(_ call: Call) {
    let flags = O_CREAT | O_WRONLY | O_TRUNC
    open(call, call.argument0, directory: Self.workingDirectory, flags: flags)
  }

  func openat(_ call: Call) {
    open(call, call.argument1, directory: call.argument0, flags: Call.int(call.argument2))
  }

  func openat2(_ call: Call) {
    // struct open_how begins with its flags.
    var flags: UInt64 = 0
    let isRead: Void? = try? withUnsafeMutableBytes(of: &flags) { bytes throws(Errno) in
      // SAFETY: the bytes are those of `flags`, where any pattern is a value.
      try call.thread.read(ClientAddress(call.argument2), into: bytes)
    }
    guard isRead != nil else { return call.proceed() }
    open(
      call, call.argument1, directory: call.argument0, flags: Int32(truncatingIfNeeded: flags))
  }

  private func open(_ call: Call, _ path: UInt64, directory: UInt64, flags: Int32) {
    let opener = NodeOpener(
      call: call, flags: flags, scratch: scratch, files: files, clients: clients)
    do throws(Errno) {
      guard let argument = argument(call, path, directory) else { return call.proceed() }
      let followsLast = flags & (O_NOFOLLOW | O_EXCL) == 0
      var result: PathResolver.Result?
      if followsLast, let open = linked(argument, call) {
        // Nodes can be opened again, devices not: theirs have no open operation (fs/anon_inodes.c).
        guard let path = open.path, let node = tree.node(at: path) else {
          throw .noSuchAddressOrDevice
        }
        result = .node(path: path, node)
      } else {
        result = try resolve(argument, call, followsLast: followsLast)
      }
      switch result {
      case nil, .untouched: call.proceed()
      case .node(let path, let node):
        if flags & oPath == 0 {
          let wanted = [R_OK, W_OK, R_OK | W_OK, R_OK | W_OK][Int(flags & O_ACCMODE)]
          if try !attributes.permits(node, at: path, wanted, to: call) {
            throw .permissionDenied
          }
        }
        try opener.open(node, at: path)
      case .real(let path): try opener.openReal(path)
      }
    } catch {
      call.fail(error)
    }
  }

  // MARK: stat

  func stat(_ call: Call, followsLast: Bool) {
    stat(
      call, call.argument0, directory: Self.workingDirectory, followsLast: followsLast,
      to: call.argument1, mask: nil)
  }

  func fstatat(_ call: Call) {
    stat(
      call, call.argument1, directory: call.argument0,
      followsLast: Call.int(call.argument3) & atSymlinkNoFollow == 0, to: call.argument2, mask: nil)
  }

  func statx(_ call: Call) {
    stat(
      call, call.argument1, directory: call.argument0,
      followsLast: Call.int(call.argument2) & atSymlinkNoFollow == 0, to: call.argument4,
      mask: UInt32(truncatingIfNeeded: call.argument3))
  }

  private func stat(
    _ call: Call, _ path: UInt64, directory: UInt64, followsLast: Bool, to buffer: UInt64,
    mask: UInt32?
  ) {
    do throws(Errno) {
      guard let argument = argument(call, path, directory) else { return call.proceed() }
      let bytes: [UInt8]
      var result: PathResolver.Result?
      if followsLast, let path = linked(argument, call)?.path, let node = tree.node(at: path) {
        result = .node(path: path, node)
      } else {
        result = try resolve(argument, call, followsLast: followsLast)
      }
      switch result {
      case nil, .untouched: return call.proceed()
      case .node(let path, let node):
        bytes = try attributes.bytes(of: node, at: path, followsLast: followsLast, mask: mask)
      case .real(let path):
        bytes = try attributes.bytes(ofReal: path, followsLast: followsLast, mask: mask)
      }
      try write(bytes, to: buffer, of: call)
      call.answer(0)
    } catch {
      call.fail(error)
    }
  }

  func write(_ bytes: [UInt8], to address: UInt64, of call: Call) throws(Errno) {
    try bytes.withUnsafeBufferPointer { buffer throws(Errno) in
      // SAFETY: the array's own storage, for the length of the call.
      try call.thread.write(ClientAddress(address), from: UnsafeRawBufferPointer(buffer))
    }
  }

  // MARK: readlink

  func readlink(_ call: Call) {
    readlink(
      call, call.argument0, directory: Self.workingDirectory, to: call.argument1,
      size: Call.int(call.argument2))
  }

  func readlinkat(_ call: Call) {
    readlink(
      call, call.argument1, directory: call.argument0, to: call.argument2,
      size: Call.int(call.argument3))
  }

  private func readlink(
    _ call: Call, _ path: UInt64, directory: UInt64, to buffer: UInt64, size: Int32
  ) {
    do throws(Errno) {
      guard let argument = argument(call, path, directory) else { return call.proceed() }
      let text: [UInt8]
      if let path = linkText(argument, call) {
        return try give(Array(path.utf8), to: buffer, size: size, call)
      }
      switch try resolve(argument, call, followsLast: false) {
      case nil, .untouched: return call.proceed()
      case .node(_, .link(let target)): text = Array(target.utf8)
      case .node: throw .invalidArgument
      case .real(let path):
        var link = [CChar](repeating: 0, count: 4096)
        // SAFETY: the C side writes at most `count` bytes, NUL included.
        let n = link.withUnsafeMutableBufferPointer {
          cl_readlink(path, $0.baseAddress, Int32($0.count))
        }
        text = link.prefix(Int(try n.checked())).map { UInt8(bitPattern: $0) }
      }
      try give(text, to: buffer, size: size, call)
    } catch {
      call.fail(error)
    }
  }

  private func give(
    _ text: [UInt8], to buffer: UInt64, size: Int32, _ call: Call
  ) throws(Errno) {
    guard size > 0 else { throw .invalidArgument }
    let part = Array(text.prefix(Int(size)))
    try write(part, to: buffer, of: call)
    call.answer(Int64(part.count))
  }

  /// What a link of /proc says where it leads to something of ours.
  private func linkText(_ argument: PathArgument, _ call: Call) -> String? {
    if let open = linked(argument, call) {
      return open.path ?? "anon_inode:[vfio-device]"
    }
    guard let link = ProcessLink(argument.path, caller: call.thread), let text = link.text,
      let path = scratch.emulated(text), argument.isInOurRoot, call.isWaiting
    else { return nil }
    return path
  }

  // MARK: access

  func access(_ call: Call) {
    access(
      call, call.argument0, directory: Self.workingDirectory, mode: Call.int(call.argument1),
      followsLast: true)
  }

  func faccessat(_ call: Call, hasFlags: Bool) {
    access(
      call, call.argument1, directory: call.argument0, mode: Call.int(call.argument2),
      followsLast: !hasFlags || Call.int(call.argument3) & atSymlinkNoFollow == 0)
  }

  private func access(
    _ call: Call, _ path: UInt64, directory: UInt64, mode: Int32, followsLast: Bool
  ) {
    do throws(Errno) {
      switch try resolve(call, path, directory: directory, followsLast: followsLast) {
      case nil, .untouched: return call.proceed()
      case .node(let path, let node):
        if try !attributes.permits(node, at: path, mode, to: call) { throw .permissionDenied }
      case .real(let path):
        if Glibc.access(path, mode) != 0 { throw Errno(rawValue: errno) }
      }
      call.answer(0)
    } catch {
      call.fail(error)
    }
  }
}

extension PathCalls {
  // MARK: xattr

  /// Emulated files have no extended attributes; `ls -l` asks.
  func extendedAttributes(_ call: Call, followsLast: Bool, lists: Bool) {
    do throws(Errno) {
      switch try resolve(
        call, call.argument0, directory: Self.workingDirectory, followsLast: followsLast)
      {
      case nil, .untouched: call.proceed()
      case .node, .real:
        if !lists { throw .noData }
        call.answer(0)
      }
    } catch {
      call.fail(error)
    }
  }
}

/// `AT_SYMLINK_NOFOLLOW`.
let atSymlinkNoFollow: Int32 = 0x100
