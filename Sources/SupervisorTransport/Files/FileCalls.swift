import ClientAccess
import Glibc
import Logging
import SystemPackage
import Threads
import Transport
import VFIOCore

/// System calls on descriptors: ours are answered, all others carried out by the kernel.
struct FileCalls: Sendable {
  let files: OpenFiles
  let clients: ClientServices
  let work: WorkPool
  let logger: Logger
  /// Lets clients map registers.
  let watch: ChildWatch

  /// The file that a descriptor of the caller leads to. Where it is none of ours, the call has been let go.
  func file(_ call: Call, _ descriptor: UInt64) -> OpenFile? {
    client(call, descriptor)?.file
  }

  /// The same, and which thread the caller is.
  private func client(_ call: Call, _ descriptor: UInt64) -> (file: OpenFile, thread: ClientThread)?
  {
    var thread = call.thread
    // The thread was looked at by its number: it must have been the caller's still.
    guard let file = find(call, descriptor, &thread), call.isWaiting else {
      call.proceed()
      return nil
    }
    return (file, thread)
  }

  private func find(
    _ call: Call, _ descriptor: UInt64, _ thread: inout ClientThread
  ) -> OpenFile? {
    if files.isEmpty { return nil }
    do throws(Errno) {
      return try files.file(Call.int(descriptor), of: &thread)
    } catch {
      if error != .badFileDescriptor {
        logger.debug(
          "cannot look at a descriptor",
          metadata: ["pid": "\(call.thread.id)", "errno": "\(error)"])
      }
      return nil
    }
  }

  /// Answers what moves data between two descriptors, what writes data back and what sets a size: drivers
  /// of VFIO have no such operation (fs/splice.c, fs/sync.c, fs/open.c).
  func refuse(_ call: Call, either first: UInt64, _ second: UInt64) {
    var thread = call.thread
    let isOurs = find(call, first, &thread) != nil || find(call, second, &thread) != nil
    if isOurs && call.isWaiting { call.fail(.invalidArgument) } else { call.proceed() }
  }

  // MARK: ioctl

  func ioctl(_ call: Call) {
    guard let (open, thread) = client(call, call.argument0) else { return }
    var call = call
    call.requests = open.file.requests
    // What a group answers may depend on a close that has returned already.
    if open.path != nil { files.settle() }
    let client = ProcessClient(thread, clients)
    do throws(Errno) {
      let request = UInt32(truncatingIfNeeded: call.argument1)
      answer(call, .success(try open.file.ioctl(request, call.argument2, from: client)))
    } catch {
      answer(call, .failure(error))
    }
  }

  private func answer(_ call: Call, _ result: DeferredAnswer.Answer) {
    switch result {
    case .success(.value(let value)): call.answer(Int64(value))
    case .failure(let error): call.fail(error)
    case .success(.later(let answer)): wait(for: answer, call)
    case .success(.file(let file)):
      do throws(Errno) {
        let flags = O_RDWR | (file.closesOnExec ? O_CLOEXEC : 0)
        call.answer(Int64(try files.handOut(file, flags: flags, to: call)))
      } catch {
        call.fail(error)
      }
    }
  }

  func wait(for answer: DeferredAnswer, _ call: Call) {
    answer.whenComplete { result in self.answer(call, result) }
    cancelWhenGone(answer, call)
  }

  /// Signals that are handled do not interrupt the caller; one that kills it ends the wait.
  private func cancelWhenGone(_ answer: DeferredAnswer, _ call: Call) {
    work.after(.milliseconds(20)) { [weak answer] in
      guard let answer else { return }
      if call.isWaiting { return cancelWhenGone(answer, call) }
      _ = answer.cancel()
    }
  }

  // MARK: mmap

  func mmap(_ call: Call) {
    guard let open = file(call, call.argument4) else { return }
    do throws(Errno) {
      let request = MapRequest(
        offset: call.argument5, length: call.argument1, isShared: call.argument3 & 1 != 0)
      let backing = try open.file.mmap(request)
      // The client's descriptor is one of the backing file, as long as it maps what we were asked about.
      guard backing.memory == nil || backing.memory === open.file.memory,
        backing.offset == request.offset
      else { throw .invalidArgument }
      if backing.memory != nil || open.file is MappedRegisters {
        call.allow()
      } else if open.file.memory == nil {
        watch.admit(call)
      } else {
        watch.map(call) { () throws(Errno) in
          try files.handOut(MappedRegisters(of: open), flags: open.flags | O_CLOEXEC, to: call)
        }
      }
    } catch {
      call.fail(error)
    }
  }

  /// A mapping of a device cannot grow (mm/mremap.c, `VM_DONTEXPAND`).
  func mremap(_ call: Call) {
    let grows = call.argument2 > call.argument1
    guard grows, !files.isEmpty,
      let mapping = try? call.thread.mapping(at: call.argument0),
      files.file(OpenFiles.Key(mapping)) != nil, call.isWaiting
    else { return call.proceed() }
    call.fail(.badAddress)
  }
}
