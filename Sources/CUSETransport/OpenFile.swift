import CFuse3
import VFIOCore

/// One open description as FUSE knows it: what `fuse_file_info.fh` leads to.
final class OpenFile: Sendable {
  let file: any VFIOFile

  init(_ file: any VFIOFile) {
    self.file = file
  }

  /// A reference for libfuse to keep from open to release.
  func retainedHandle() -> UInt64 {
    UInt64(UInt(bitPattern: Unmanaged.passRetained(self).toOpaque()))
  }

  /// Runs `body` with the file behind `handle`, which is open for as long.
  ///
  /// - Returns: nil for what is no file of ours: the mount's directory has no handle.
  static func with<R>(_ handle: UInt64, _ body: (OpenFile) -> R) -> R? {
    // SAFETY: `handle` came from `retainedHandle`, and the kernel sends nothing after RELEASE.
    reference(handle)?._withUnsafeGuaranteedRef(body)
  }

  /// Carries out the release: the handle is void afterwards.
  static func release(_ handle: UInt64) {
    // SAFETY: as above; the kernel sends RELEASE once.
    reference(handle)?.takeRetainedValue().file.release()
  }

  private static func reference(_ handle: UInt64) -> Unmanaged<OpenFile>? {
    UnsafeRawPointer(bitPattern: UInt(handle)).map { Unmanaged.fromOpaque($0) }
  }
}

extension UnsafeMutablePointer<fuse_file_info>? {
  /// The handle that our open has put into a file's information.
  var handle: UInt64 { self?.pointee.fh ?? 0 }
}
