import CLinux
import ClientAccess
import Glibc
import SystemPackage
import Transport

/// Answers an open of what an emulated path leads to.
struct NodeOpener {
  let call: Call
  let flags: Int32
  let scratch: ScratchTree
  let files: OpenFiles
  let clients: ClientServices

  private var wantsWrite: Bool { flags & O_ACCMODE != O_RDONLY }
  private var wantsRead: Bool { flags & O_ACCMODE != O_WRONLY }

  func open(_ node: EmulatedNode, at path: String) throws(Errno) {
    if flags & O_CREAT != 0 && flags & O_EXCL != 0 { throw .fileExists }
    if case .directory(let directory) = node {
      return try openDirectory(directory, at: path)
    }
    if flags & O_DIRECTORY != 0 { throw .notDirectory }
    if flags & oPath != 0 {
      return try give(try scratch.open(path, flags))
    }
    switch node {
    case .directory: return
    case .link: throw .tooManySymbolicLinkLevels
    case .device(let device):
      // A set of groups ends with its last close, which may have returned already.
      files.settle()
      let client = ProcessClient(call.thread, clients)
      call.answer(
        Int64(try files.handOut(device.open(client), flags: flags, path: path, to: call)))
    case .file(let file): try open(file, at: path)
    }
  }

  /// Opens a file of the machine that an emulated link leads to, as the kernel would have.
  func openReal(_ path: String) throws(Errno) {
    if flags & O_CREAT != 0 { throw .permissionDenied }
    try give(try OwnedFD(path: path, flags | O_NOCTTY))
  }

  private func openDirectory(_ directory: EmulatedDirectory, at path: String) throws(Errno) {
    if wantsWrite || flags & O_CREAT != 0 { throw .isDirectory }
    // A descriptor with O_PATH cannot be given; one without can do the same and more.
    let flags = flags & ~oPath
    // Where the machine has all of the names, its own directory shows them.
    if !directory.isWhole
      && directory.names.allSatisfy({ Self.exists(path == "/" ? "/\($0)" : "\(path)/\($0)") })
    {
      return try give(try OwnedFD(path: path, flags | O_NOCTTY))
    }
    try give(try scratch.open(path, flags))
  }

  private func open(_ file: EmulatedFile, at path: String) throws(Errno) {
    if wantsWrite && !file.isWritable { throw .permissionDenied }
    if wantsRead && !file.isReadable { throw .permissionDenied }
    if wantsWrite || file.readPart != nil {
      let attribute = AttributeFile(path, file)
      call.answer(Int64(try files.handOut(attribute, flags: flags, path: path, to: call)))
      return
    }
    let bytes = file.contents?() ?? []
    let snapshot = bytes.withUnsafeBytes { buffer in
      // SAFETY: the C side reads the array's own storage, for the length of the call.
      cl_snapshot("vfio-cused-attribute", buffer.baseAddress, buffer.count)
    }
    let copy = OwnedFD(owning: try snapshot.checked())
    try give(try OwnedFD(path: "/proc/self/fd/\(copy.rawValue)", O_RDONLY))
  }

  private func give(_ fd: consuming OwnedFD) throws(Errno) {
    let number = try call.addDescriptor(fd.rawValue, closeOnExec: flags & O_CLOEXEC != 0)
    _ = consume fd
    call.answer(Int64(number))
  }

  private static func exists(_ path: String) -> Bool {
    var buffer = stat()
    return lstat(path, &buffer) == 0
  }
}

/// `O_PATH`, which Glibc shows only to C.
let oPath: Int32 = 0o10000000
