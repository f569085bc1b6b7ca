import CLinux

/// Brings each call to where it is answered.
struct Dispatcher: Sendable {
  let files: FileCalls
  let paths: PathCalls
  let eventfds: Eventfds?
  private let dumpable = Dumpable()

  init(files: FileCalls, paths: PathCalls, eventfds: Eventfds?) {
    self.eventfds = eventfds
    self.files = files
    self.paths = paths
  }

  func handle(_ call: Call) {
    let transfers = Transfers(calls: files)
    switch call.name {
    case CL_CALL_IOCTL: files.ioctl(call)
    case CL_CALL_MMAP: files.mmap(call)
    case CL_CALL_MREMAP: files.mremap(call)
    case CL_CALL_PRCTL: dumpable.prctl(call)
    case CL_CALL_READ: transfers.read(call)
    case CL_CALL_WRITE: transfers.write(call)
    case CL_CALL_READV: transfers.readv(call, isWrite: false)
    case CL_CALL_WRITEV: transfers.readv(call, isWrite: true)
    case CL_CALL_LSEEK: transfers.lseek(call)
    case CL_CALL_FSYNC, CL_CALL_FTRUNCATE:
      files.refuse(call, either: call.argument0, call.argument0)
    case CL_CALL_SENDFILE: files.refuse(call, either: call.argument0, call.argument1)
    case CL_CALL_SPLICE, CL_CALL_COPY_FILE_RANGE:
      files.refuse(call, either: call.argument0, call.argument2)
    case CL_CALL_PREAD: transfers.pread(call, isWrite: false)
    case CL_CALL_PWRITE: transfers.pread(call, isWrite: true)
    case CL_CALL_PREADV: transfers.preadv(call, isWrite: false)
    case CL_CALL_PWRITEV: transfers.preadv(call, isWrite: true)
    case CL_CALL_PREADV2: transfers.preadv(call, isWrite: false, hasFlags: true)
    case CL_CALL_PWRITEV2: transfers.preadv(call, isWrite: true, hasFlags: true)
    case CL_CALL_OPEN: paths.open(call)
    case CL_CALL_CREAT: paths.creat(call)
    case CL_CALL_OPENAT: paths.openat(call)
    case CL_CALL_OPENAT2: paths.openat2(call)
    case CL_CALL_STAT: paths.stat(call, followsLast: true)
    case CL_CALL_LSTAT: paths.stat(call, followsLast: false)
    case CL_CALL_FSTATAT: paths.fstatat(call)
    case CL_CALL_STATX: paths.statx(call)
    case CL_CALL_READLINK: paths.readlink(call)
    case CL_CALL_READLINKAT: paths.readlinkat(call)
    case CL_CALL_ACCESS: paths.access(call)
    case CL_CALL_FACCESSAT: paths.faccessat(call, hasFlags: false)
    case CL_CALL_FACCESSAT2: paths.faccessat(call, hasFlags: true)
    case CL_CALL_CHDIR: paths.chdir(call)
    case CL_CALL_GETCWD: paths.getcwd(call)
    case CL_CALL_GETXATTR: paths.extendedAttributes(call, followsLast: true, lists: false)
    case CL_CALL_LGETXATTR: paths.extendedAttributes(call, followsLast: false, lists: false)
    case CL_CALL_LISTXATTR: paths.extendedAttributes(call, followsLast: true, lists: true)
    case CL_CALL_LLISTXATTR: paths.extendedAttributes(call, followsLast: false, lists: true)
    case CL_CALL_CHOWN: paths.chown(call, followsLast: true)
    case CL_CALL_LCHOWN: paths.chown(call, followsLast: false)
    case CL_CALL_FCHOWNAT: paths.fchownat(call)
    case CL_CALL_CHMOD: paths.chmod(call)
    case CL_CALL_FCHMODAT: paths.fchmodat(call)
    case CL_CALL_EVENTFD: eventfds?.make(call, flags: 0)
    case CL_CALL_EVENTFD2: eventfds?.make(call, flags: Call.int(call.argument1))
    default: call.proceed()
    }
  }
}
