import ClientAccess
import SystemPackage
import TestSupport
import VFIOABI
import VFIOCore

/// What users do.
extension ModelWorld {
  // MARK: - Descriptors

  func openGroup() {
    let user = Int.random(in: 0..<clients.count, using: &random)
    let group = Self.groups.randomElement(using: &random) ?? Self.groups[0]
    let number = nextNumber()
    let got = errno { () throws(Errno) in
      newFile(try vfio.openGroup(group), of: user, number)
    }
    let exists = model.set(of: group) != nil
    if exists { model.files[number] = .group(group) }
    compare(
      "open", "\(group) by \(user)", got: got,
      expected: exists ? nil : .operationNotSupportedByDevice)
  }

  func closeOne() {
    if let index = copies.indices.randomElement(using: &random) { close(at: index) }
  }

  func close(at index: Int) {
    let (user, number) = copies.remove(at: index)
    if copies.contains(where: { $0.file == number }) {
      return compare("close a copy", "\(number) by \(user)", got: nil, expected: nil)
    }
    guard let file = files.removeValue(forKey: number) else { return }
    meanwhile(\.onRelease)
    let text = "\(file.description) by \(user)"
    file.release()
    forgetMoments()
    model.close(number)
    compare("close", text, got: nil, expected: nil)
  }

  /// By fork or through a socket.
  func passOn() {
    guard let copy = randomCopy({ _ in true }) else { return }
    let user = Int.random(in: 0..<clients.count, using: &random)
    copies.append((user, copy.file))
    compare("pass on", "\(copy.file) to \(user)", got: nil, expected: nil)
  }

  /// All of a user's descriptors are closed by its end, in whatever order.
  func die() {
    let user = Int.random(in: 0..<clients.count, using: &random)
    compare("die", "\(user)", got: nil, expected: nil)
    while let index = copies.indices.filter({ copies[$0].user == user })
      .randomElement(using: &random)
    {
      close(at: index)
    }
  }

  // MARK: - Groups

  func getIOMMU() {
    guard let copy = randomCopy(isGroup), let group = model.files[copy.file].flatMap(model.group)
    else { return }
    let number = nextNumber()
    let got = errno { () throws(Errno) in
      guard let file = try ioctl(copy.file, copy.user, .groupGetIOMMUFD) else { return }
      newFile(file, of: copy.user, number)
    }
    let expected = errno { () throws(Errno) in try model.getIOMMU(number, group, copy.user) }
    compare("iommu", "of \(group) by \(copy.user)", got: got, expected: expected)
  }

  func getDevice() {
    guard let copy = randomCopy(isGroup), let group = model.files[copy.file].flatMap(model.group)
    else { return }
    let near = Self.devices.filter { $0.group == group }.randomElement(using: &random)
    let name = (Bool.random(using: &random) ? near : nil)?.name ?? randomDevice().name
    let number = nextNumber()
    let fails = !isNested && Int.random(in: 0..<6, using: &random) == 0
    if fails { ops.answers.withLock { $0.openError = .ioError } }
    var expected = errno { () throws(Errno) in try model.lookUp(name, group, copy.user) }
    var hasBegun = false
    func begin() {
      hasBegun = true
      expected = errno { () throws(Errno) in
        try model.beginOpen(number, name, group, copy.user)
      }
    }
    meanwhile(\.onMatch)
    // The core asks the bus driver to open once it has counted the device as open.
    meanwhile(\.onOpen, first: begin)
    clients[copy.user].space.poke(MemoryClient.argument, Array(name.utf8) + [0])
    let got = errno { () throws(Errno) in
      let request = Draft2011.Request.groupGetDeviceFD
      guard let file = try ioctl(copy.file, copy.user, request, MemoryClient.argument) else {
        return
      }
      newFile(file, of: copy.user, number)
    }
    forgetMoments()
    if expected == nil, !hasBegun { begin() }
    if expected == nil {
      model.endOpen(number, failed: fails)
      if fails { expected = .ioError }
    }
    compare("device", "\(name) of \(group) by \(copy.user)", got: got, expected: expected)
  }

  func merge() {
    guard let copy = randomCopy(isGroup), let merger = model.files[copy.file].flatMap(model.group)
    else { return }
    // Descriptors that are none of the caller's group nodes, now and then.
    let isOdd = Int.random(in: 0..<10, using: &random) == 0
    let suiting = copies.filter { other in
      guard other.user == copy.user, let file = model.files[other.file] else { return false }
      return isOdd || model.group(of: file).map { $0 != merger } ?? false
    }
    guard let other = suiting.randomElement(using: &random), let mergee = model.files[other.file],
      let file = files[other.file]
    else { return }
    let client = clients[copy.user]
    let descriptor = client.install(.file(file))
    let got = errno { () throws(Errno) in
      try client.store(descriptor, to: ClientAddress(MemoryClient.argument))
      _ = try ioctl(copy.file, copy.user, .groupMerge, MemoryClient.argument)
    }
    client.forget(descriptor)
    let inUse = model.set(of: merger).map(model.isInUse) ?? false
    let expected = errno { () throws(Errno) in try model.merge(merger, mergee, copy.user) }
    compare(
      inUse ? "merge into a used set" : "merge", "\(mergee) into \(merger) by \(copy.user)",
      got: got, expected: expected)
  }

  func unmerge() {
    let isOdd = Int.random(in: 0..<4, using: &random) == 0
    let suits = { [model] (file: DocumentModel.File) in
      guard let group = model.group(of: file), let set = model.set(of: group) else { return false }
      return isOdd || model.groups(of: set).count > 1
    }
    guard let copy = randomCopy(suits), let group = model.files[copy.file].flatMap(model.group)
    else { return }
    let got = errno { () throws(Errno) in _ = try ioctl(copy.file, copy.user, .groupUnmerge) }
    let inUse = model.set(of: group).map(model.isInUse) ?? false
    let expected = errno { () throws(Errno) in try model.unmerge(group, copy.user) }
    compare(
      inUse ? "unmerge from a used set" : "unmerge", "\(group) by \(copy.user)", got: got,
      expected: expected)
  }

  // MARK: - Mappings

  func randomPages() -> Range<UInt64> {
    let first = UInt64.random(in: 0..<Self.pages, using: &random)
    return first..<(first + .random(in: 1...min(3, Self.pages - first), using: &random))
  }

  func map() {
    guard let copy = randomCopy(isIOMMU), case .iommu(let set)? = model.files[copy.file] else {
      return
    }
    let pages = randomPages()
    let first = DocumentModel.Page(
      user: copy.user, vaddr: .random(in: 0..<12, using: &random),
      isReadable: Int.random(in: 0..<4, using: &random) > 0)
    var argument = Draft2011.DMAMap.sized
    argument.iova = pages.lowerBound * Self.pageSize
    argument.size = UInt64(pages.count) * Self.pageSize
    argument.vaddr = Self.vaddr + first.vaddr * Self.pageSize
    argument.flags = first.isReadable ? [.read, .write] : .write
    let got = errno { () throws(Errno) in
      try clients[copy.user].store(argument, to: ClientAddress(MemoryClient.argument))
      _ = try ioctl(copy.file, copy.user, .iommuMapDMA, MemoryClient.argument)
    }
    let expected = errno { () throws(Errno) in try model.map(set, pages, first) }
    compare("map", "\(pages) of set \(set) by \(copy.user)", got: got, expected: expected)
  }

  func unmap() {
    guard let copy = randomCopy(isIOMMU), case .iommu(let set)? = model.files[copy.file] else {
      return
    }
    let pages = randomPages()
    var argument = Draft2011.DMAUnmap.sized
    argument.iova = pages.lowerBound * Self.pageSize
    argument.size = UInt64(pages.count) * Self.pageSize
    let got = errno { () throws(Errno) in
      try clients[copy.user].store(argument, to: ClientAddress(MemoryClient.argument))
      _ = try ioctl(copy.file, copy.user, .iommuUnmapDMA, MemoryClient.argument)
    }
    model.unmap(set, pages)
    compare("unmap", "\(pages) of set \(set) by \(copy.user)", got: got, expected: nil)
  }
}
