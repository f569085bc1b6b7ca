import CFuse3
import FUSESessions
import Glibc
import SystemPackage

/// libfuse's callbacks.
extension SysfsMount {
  static var operations: fuse_lowlevel_ops {
    var ops = fuse_lowlevel_ops()
    ops.lookup = { request, parent, name in
      // SAFETY: libfuse gives a name that ends with a NUL.
      SysfsMount.of(request)
        .lookup(Request(request), parent, name.map { String(cString: $0) } ?? "")
    }
    ops.forget = { request, inode, count in
      SysfsMount.of(request).forget(inode, count)
      Request(request).forgotten()
    }
    ops.forget_multi = { request, count, list in
      // SAFETY: libfuse gives `count` of them.
      for one in UnsafeBufferPointer(start: list, count: count) {
        SysfsMount.of(request).forget(one.ino, one.nlookup)
      }
      Request(request).forgotten()
    }
    ops.getattr = { request, inode, _ in SysfsMount.of(request).attributes(Request(request), inode)
    }
    ops.setattr = { request, inode, new, which, _ in
      SysfsMount.of(request).setAttributes(Request(request), inode, new?.pointee, which)
    }
    ops.readlink = { SysfsMount.of($0).readLink(Request($0), $1) }
    ops.opendir = { SysfsMount.of($0).openDirectory(Request($0), $1, $2) }
    ops.readdir = { request, _, size, offset, info in
      SysfsMount.of(request)
        .readDirectory(Request(request), info?.pointee.fh ?? 0, size, offset)
    }
    ops.releasedir = { request, _, info in
      OpenNode.release(info?.pointee.fh ?? 0, OpenNode.Directory.self)
      Request(request).succeed()
    }
    ops.open = { SysfsMount.of($0).open(Request($0), $1, $2) }
    ops.read = { request, _, size, offset, info in
      SysfsMount.of(request).read(Request(request), info?.pointee.fh ?? 0, size, offset)
    }
    ops.write = { request, _, data, size, offset, info in
      SysfsMount.of(request).write(
        Request(request), info?.pointee.fh ?? 0, UnsafeRawBufferPointer(start: data, count: size),
        at: Int(offset))
    }
    ops.release = { request, _, info in
      OpenNode.release(info?.pointee.fh ?? 0, OpenNode.File.self)
      Request(request).succeed()
    }
    ops.statfs = { request, _ in Request(request).fileSystem(statvfs()) }
    // What a directory of sysfs answers: it has no such operation (fs/namei.c).
    ops.create = { request, _, _, _, _ in Request(request).fail(.permissionDenied) }
    ops.mknod = { request, _, _, _, _ in Request(request).fail(.notPermitted) }
    ops.mkdir = { request, _, _, _ in Request(request).fail(.notPermitted) }
    ops.symlink = { request, _, _, _ in Request(request).fail(.notPermitted) }
    ops.link = { request, _, _, _ in Request(request).fail(.notPermitted) }
    ops.unlink = { request, _, _ in Request(request).fail(.notPermitted) }
    ops.rmdir = { request, _, _ in Request(request).fail(.notPermitted) }
    ops.rename = { request, _, _, _, _, _ in Request(request).fail(.notPermitted) }
    return ops
  }

  private static func of(_ request: fuse_req_t?) -> SysfsMount {
    // SAFETY: the userdata of the mount's session is the mount, which the session keeps alive.
    Unmanaged<SysfsMount>.fromOpaque(fuse_req_userdata(request).unsafelyUnwrapped)
      .takeUnretainedValue()
  }
}
