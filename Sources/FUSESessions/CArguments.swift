package import CFuse3
import Glibc

/// Runs `body` with `arguments` as libfuse takes them, which it may change.
package func withCArguments<R>(_ arguments: [String], _ body: (inout fuse_args) -> R) -> R {
  // SAFETY: the strings and the array live until `body` is over; libfuse replaces `args.argv` by memory
  // of its own (allocated = 1) when it changes it, which fuse_opt_free_args frees.
  var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  return pointers.withUnsafeMutableBufferPointer { list in
    var args = fuse_args(argc: Int32(arguments.count), argv: list.baseAddress, allocated: 0)
    defer { fuse_opt_free_args(&args) }
    return body(&args)
  }
}
