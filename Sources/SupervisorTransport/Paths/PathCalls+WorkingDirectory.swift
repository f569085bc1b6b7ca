import ClientAccess
import Glibc
import SystemPackage

/// chdir and getcwd.
extension PathCalls {
  func chdir(_ call: Call) {
    do throws(Errno) {
      guard
        let argument = PathArgument(
          call, at: call.argument0, directory: Self.workingDirectory, tree: tree, scratch: scratch)
      else { return call.proceed() }
      switch try resolve(argument, call, followsLast: true) {
      case nil, .untouched: call.proceed()
      case .real(let path): workingDirectories.change(call, to: try Self.directory(path))
      case .node(let path, .directory(let directory)):
        if !directory.isWhole, let own = try? Self.directory(path) {
          // Where the machine has it too, it is the machine's.
          if isKnown(argument, path) { return call.proceed() }
          return workingDirectories.change(call, to: own)
        }
        workingDirectories.change(
          call, to: try scratch.open(path, O_RDONLY | O_DIRECTORY))
      case .node: throw .notDirectory
      }
    } catch {
      call.fail(error)
    }
  }

  /// Whether the kernel comes to the machine's own `path` as well.
  private func isKnown(_ argument: PathArgument, _ path: String) -> Bool {
    if argument.isFromScratch { return false }
    let text = argument.path
    let way = text.hasPrefix("/") ? text : "\(argument.base)/\(text)"
    guard let there = try? FileIdentity(path: way), let here = try? FileIdentity(path: path) else {
      return false
    }
    return there == here
  }

  private static func directory(_ path: String) throws(Errno) -> OwnedFD {
    try OwnedFD(path: path, O_RDONLY | O_DIRECTORY)
  }

  /// The emulated path, for those who are in the scratch tree.
  func getcwd(_ call: Call) {
    guard scratch.path != nil, let real = ProcessLink.text("/proc/\(call.thread.id)/cwd"),
      let path = scratch.emulated(real), PathArgument.isInOurRoot(call.thread), call.isWaiting
    else { return call.proceed() }
    do throws(Errno) {
      let text = Array(path.utf8) + [0]
      guard text.count <= call.argument1 else { throw .outOfRange }
      try write(text, to: call.argument0, of: call)
      call.answer(Int64(text.count))
    } catch {
      call.fail(error)
    }
  }
}
