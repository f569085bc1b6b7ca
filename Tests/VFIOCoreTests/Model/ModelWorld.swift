import ClientAccess
import DeviceKit
import SoftIOMMU
import Synchronization
import SystemPackage
import TestSupport
import VFIOABI
import VFIOCore

/// The core and the model side by side: does to both the same, and notes where they part.
///
/// Used by one thread. The core calls back into it in the middle of some calls, on the same thread.
final class ModelWorld {
  typealias Group = VFIOCore.GroupID

  static let groups =
    (1...4).map { Group(bus: "pci", number: $0) } + [Group(bus: "platform", number: 1)]
  static let devices: [(name: String, group: Group)] = [
    ("a", groups[0]), ("b", groups[0]), ("c", groups[1]), ("d", groups[2]), ("e", groups[2]),
    ("f", groups[3]), ("g", groups[4]),
  ]
  static let pages: UInt64 = 6
  private static let vaddr: UInt64 = 0x4000_0000
  private static let pageSize: UInt64 = 4096

  private(set) var model: DocumentModel
  private(set) var divergence: String?
  /// What was done, for people who replay it.
  private(set) var trace: [String] = []
  /// How often each outcome of each operation was seen.
  private(set) var counts: [Outcome: Int] = [:]

  struct Outcome: Hashable, CustomStringConvertible {
    var operation: String
    var error: Errno?
    /// In the middle of another call.
    var isMeanwhile = false

    var description: String {
      "\(isMeanwhile ? "meanwhile " : "")\(operation): \(error.map { "\($0)" } ?? "done")"
    }
  }

  private let vfio: VFIO
  private let ops = OpsDouble()
  private let clients: [MemoryClient]
  private var files: [Int: any VFIOFile] = [:]
  /// The copies of descriptors, each by who has it.
  private var copies: [(user: Int, file: Int)] = []
  private var ports: [String: DomainPort] = [:]
  private var filesMade = 0
  private let unbindsCarriedOut = Mutex(0)
  private var random: SplitMix64
  /// Whether this is in the middle of a call.
  private var isNested = false

  private let isTraced: Bool

  init(seed: UInt64, isTraced: Bool) {
    self.isTraced = isTraced
    var random = SplitMix64(seed: seed)
    let policies: [Merging.Policy] = [.similar, .similar, .similar, .any, .never]
    let merging = Merging(
      policy: policies.randomElement(using: &random) ?? .similar,
      noncoherent: [Self.groups[3]], isAutomatic: Int.random(in: 0..<3, using: &random) == 0)
    self.random = random
    model = DocumentModel(merging: merging)
    vfio = VFIO(logger: .silent, merging: merging)
    clients = (0..<3).map { user in
      let client = MemoryClient()
      client.space.mmap(Self.vaddr, pages: 16)
      for page in 0..<16 as Range<UInt64> {
        client.space.poke(
          Self.vaddr + page * Self.pageSize, [UInt8(user * 16) + UInt8(page) + 1])
      }
      return client
    }
    trace.append("\(merging.policy), \(merging.isAutomatic ? "automatic" : "on request")")
    for device in Self.devices {
      add(device)
      bind(device.name)
    }
  }

  // MARK: - Both at once

  func step() {
    guard divergence == nil else { return }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<13: openGroup()
    case 13..<22: getIOMMU()
    case 22..<35: getDevice()
    case 35..<46: merge()
    case 46..<50: unmerge()
    case 50..<56: map()
    case 56..<58: unmap()
    case 58..<71: closeOne()
    case 71..<73: passOn()
    case 73..<74: die()
    case 74..<81: add(device { model.devices[$0] == nil })
    case 81..<84: delete(device { model.devices[$0]?.isBound == false }.name)
    case 84..<92: bind(device { model.devices[$0]?.isBound == false }.name)
    case 92..<96: unbind(device { model.devices[$0]?.isBound == true }.name)
    case 96..<98: cancelUnbind(device { model.devices[$0]?.unbindWaits == true }.name)
    default: checkHostMayTake(device { model.devices[$0]?.isBound == false })
    }
    // What a call answered is compared with each; what there is then, less often.
    if !isNested, Int.random(in: 0..<4, using: &random) == 0 { compareAll() }
  }

  /// All descriptors go; what is left of the core must be what is left of the model, which is nothing open.
  func end() {
    while divergence == nil, !copies.isEmpty { close(at: copies.count - 1) }
    compareAll()
    for (user, client) in clients.enumerated() where client.space.locked != 0 {
      diverge("user \(user) has \(client.space.locked) bytes locked at the end")
    }
  }

  private func diverge(_ what: String) {
    if divergence == nil { divergence = what }
  }

  private func compare(
    _ operation: String, _ detail: @autoclosure () -> String, got: Errno?, expected: Errno?
  ) {
    let outcome = Outcome(operation: operation, error: got, isMeanwhile: isNested)
    counts[outcome, default: 0] += 1
    if isTraced { trace.append("\(outcome), \(detail())") }
    if got != expected {
      let rule = expected.map { "\($0)" } ?? "done"
      diverge("\(outcome), not \(rule) as by the document: \(detail())")
    }
  }

  private func count(_ what: String) {
    counts[Outcome(operation: what), default: 0] += 1
  }

  /// Something else happens in the middle of the next call, when that reaches the bus driver there; `first`
  /// does in any case.
  private func meanwhile(
    _ moment: any WritableKeyPath<OpsDouble.Answers, (@Sendable () -> Void)?> & Sendable,
    first: (() -> Void)? = nil
  ) {
    guard !isNested else { return }
    let happens = Int.random(in: 0..<3, using: &random) == 0
    // Sendable in name only: it is called on this thread, before the call returns.
    nonisolated(unsafe) let (world, first) = (self, first)
    ops.answers.withLock { answers in
      answers[keyPath: moment] = {
        world.ops.answers.withLock { $0[keyPath: moment] = nil }
        first?()
        if happens { world.nest() }
      }
    }
  }

  /// One step in the middle of another, of whose moments it is none.
  private func nest() {
    guard !isNested else { return }
    let answers = ops.answers.withLock { answers in
      defer { answers = OpsDouble.Answers() }
      return answers
    }
    isNested = true
    step()
    isNested = false
    ops.answers.withLock { $0 = answers }
  }

  private func forgetMoments() {
    guard !isNested else { return }
    ops.answers.withLock { answers in
      (answers.onMatch, answers.onOpen, answers.onRelease, answers.claim) = (nil, nil, nil, nil)
      answers.openError = nil
    }
  }

  // MARK: - Choices

  private func randomDevice() -> (name: String, group: Group) {
    Self.devices.randomElement(using: &random) ?? Self.devices[0]
  }

  /// One that suits, most of the time.
  private func device(_ suits: (String) -> Bool) -> (name: String, group: Group) {
    let suiting = Self.devices.filter { suits($0.name) }
    guard Int.random(in: 0..<8, using: &random) > 0,
      let device = suiting.randomElement(using: &random)
    else { return randomDevice() }
    return device
  }

  /// Some copy of a descriptor of the kind that `suits`.
  private func randomCopy(_ suits: (DocumentModel.File) -> Bool) -> (user: Int, file: Int)? {
    copies.filter { model.files[$0.file].map(suits) ?? false }.randomElement(using: &random)
  }

  private func isGroup(_ file: DocumentModel.File) -> Bool { model.group(of: file) != nil }

  private func isIOMMU(_ file: DocumentModel.File) -> Bool {
    if case .iommu = file { true } else { false }
  }

  private func newFile(_ file: any VFIOFile, of user: Int, _ number: Int) {
    files[number] = file
    copies.append((user, number))
  }

  private func nextNumber() -> Int {
    filesMade += 1
    return filesMade
  }

  /// An ioctl that may give a file.
  private func ioctl(
    _ file: Int, _ user: Int, _ request: Draft2011.Request, _ argument: UInt64 = 0
  ) throws(Errno) -> (any VFIOFile)? {
    guard let file = files[file] else { return nil }
    let result = try file.ioctl(request.rawValue, argument, from: clients[user])
    if case .file(let file) = result { return file }
    return nil
  }

  // MARK: - Descriptors

  private func openGroup() {
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

  private func closeOne() {
    if let index = copies.indices.randomElement(using: &random) { close(at: index) }
  }

  private func close(at index: Int) {
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
  private func passOn() {
    guard let copy = randomCopy({ _ in true }) else { return }
    let user = Int.random(in: 0..<clients.count, using: &random)
    copies.append((user, copy.file))
    compare("pass on", "\(copy.file) to \(user)", got: nil, expected: nil)
  }

  /// All of a user's descriptors are closed by its end, in whatever order.
  private func die() {
    let user = Int.random(in: 0..<clients.count, using: &random)
    compare("die", "\(user)", got: nil, expected: nil)
    while let index = copies.indices.filter({ copies[$0].user == user })
      .randomElement(using: &random)
    {
      close(at: index)
    }
  }

  // MARK: - Groups

  private func getIOMMU() {
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

  private func getDevice() {
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

  private func merge() {
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

  private func unmerge() {
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

  private func randomPages() -> Range<UInt64> {
    let first = UInt64.random(in: 0..<Self.pages, using: &random)
    return first..<(first + .random(in: 1...min(3, Self.pages - first), using: &random))
  }

  private func map() {
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

  private func unmap() {
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

  // MARK: - Bus drivers

  private func coreDevice(_ name: String) -> VFIOCore.Device {
    let group = Self.devices.first { $0.name == name }?.group ?? Self.groups[0]
    return VFIOCore.Device(name: name, group: group)
  }

  private func add(_ device: (name: String, group: Group)) {
    let core = coreDevice(device.name)
    let port = DomainPort()
    enum Claim: CaseIterable { case binds, fails, forgets }
    let claim = Claim.allCases.randomElement(using: &random) ?? .binds
    let arrival = Arrival(happens: Bool.random(using: &random))
    // As in `meanwhile`.
    nonisolated(unsafe) let (world, claimed) = (self, arrival)
    ops.answers.withLock { answers in
      answers.claim = { _ throws(Errno) in
        // The device is there from the start of the claim on.
        claimed.isClaimed = true
        world.arrive(device, claimed)
        if claimed.happens { world.nest() }
        if claim == .binds { world.bind(device.name) }
        if claim == .fails { throw .ioError }
      }
    }
    let got = errno { () throws(Errno) in try vfio.addDevice(core, ops: ops, port: port) }
    if !isNested { ops.answers.withLock { $0.claim = nil } }
    if !arrival.isClaimed { arrive(device, arrival) }
    if got == nil { ports[device.name] = port }
    if arrival.mustClaim { model.endClaim(device.name) }
    if arrival.mustClaim != arrival.isClaimed {
      diverge("add \(core): claimed \(arrival.isClaimed), not \(arrival.mustClaim)")
    }
    compare(
      arrival.isClaimed ? "add to a used group" : "add", "\(core) to \(device.group)", got: got,
      expected: arrival.expected)
    if model.tainted.contains(device.group) { count("tainted") }
  }

  /// What is learnt of a device while it is added.
  private final class Arrival {
    let happens: Bool
    var isClaimed = false
    var mustClaim = false
    var expected: Errno?

    init(happens: Bool) { self.happens = happens }
  }

  private func arrive(_ device: (name: String, group: Group), _ arrival: Arrival) {
    arrival.expected = errno { () throws(Errno) in
      arrival.mustClaim = try model.add(device.name, device.group)
    }
  }

  private func delete(_ name: String) {
    vfio.deleteDevice(coreDevice(name))
    model.delete(name)
    compare("delete", name, got: nil, expected: nil)
  }

  private func bind(_ name: String) {
    let got = errno { () throws(Errno) in try vfio.bindDevice(coreDevice(name), data: ops) }
    let expected = errno { () throws(Errno) in try model.bind(name) }
    compare("bind", name, got: got, expected: expected)
  }

  private func unbind(_ name: String) {
    nonisolated(unsafe) let world = self
    let got = errno { () throws(Errno) in
      try vfio.unbindDevice(coreDevice(name)) { _ in
        world.unbindsCarriedOut.withLock { $0 += 1 }
      }
    }
    let expected = errno { () throws(Errno) in try model.unbind(name) }
    compare("unbind", name, got: got, expected: expected)
    if model.devices[name]?.unbindWaits == true { count("unbind waits") }
  }

  private func cancelUnbind(_ name: String) {
    let got = vfio.cancelUnbind(coreDevice(name), data: ops)
    let expected = model.cancelUnbind(name)
    if got != expected { diverge("cancel the unbind of \(name): \(got), not \(expected)") }
    let outcome: Errno? = got ? nil : .invalidArgument
    compare("cancel unbind", name, got: outcome, expected: outcome)
  }

  private func checkHostMayTake(_ device: (name: String, group: Group)) {
    let got = errno { () throws(Errno) in try vfio.checkHostMayTake(coreDevice(device.name)) }
    let expected = errno { () throws(Errno) in try model.checkHostMayTake(device.name) }
    compare("host", device.name, got: got, expected: expected)
  }

  // MARK: - Comparing

  private func compareAll() {
    guard divergence == nil else { return }
    let statuses = vfio.groups
    let existing = model.sets.values.flatMap(\.groups)
    if Set(statuses.map(\.id)) != Set(existing) {
      return diverge("the core has the groups \(statuses.map(\.id)), the document \(existing)")
    }
    for status in statuses { compare(status) }
    if unbindsCarriedOut.withLock({ $0 }) != model.unbindsCarriedOut {
      diverge("\(unbindsCarriedOut.withLock { $0 }) unbinds, not \(model.unbindsCarriedOut)")
    }
    compareLocked()
    for (name, port) in ports where model.devices[name] != nil { compareMappings(name, port) }
  }

  private func compare(_ status: GroupStatus) {
    let id = status.id
    guard let number = model.set(of: id), let set = model.sets[number] else { return }
    func check<T: Equatable>(_ what: String, _ got: T, _ expected: T) {
      if got != expected { diverge("\(id): \(what) is \(got), by the document \(expected)") }
    }
    check("merged set", Set(status.mergedSet), set.groups)
    check("viable", status.isViable, model.isViable(number))
    check("tainted", status.isTainted, model.tainted.contains(id))
    check("owned", status.isOwned, set.owner != nil)
    check("open", status.openCount, model.opens(.group(id)))
    let members = model.devices.values.filter { $0.group == id }.sorted { $0.name < $1.name }
    check("devices", status.members.map(\.device.name), members.map(\.name))
    check("bound", status.members.map(\.isBound), members.map(\.isBound))
    check(
      "open devices", status.members.map(\.openCount),
      members.map { model.opens(.device($0.name)) })
  }

  private func compareLocked() {
    for (user, client) in clients.enumerated() {
      let pages = model.sets.values.flatMap(\.mappings.values).count { $0.user == user }
      let expected = UInt64(pages) * Self.pageSize
      if client.space.locked != expected {
        diverge("user \(user) has \(client.space.locked) bytes locked, not \(expected)")
      }
    }
  }

  /// Every device reaches what is mapped for its set, and nothing else.
  private func compareMappings(_ name: String, _ port: DomainPort) {
    guard let set = model.devices[name].flatMap({ model.set(of: $0.group) }) else { return }
    let page = UInt64.random(in: 0..<Self.pages, using: &random)
    var byte: UInt8 = 0
    let fault = withUnsafeMutableBytes(of: &byte) {
      port.read(IOVA(page * Self.pageSize), into: $0)
    }
    let mapped = model.sets[set]?.mappings[page]
    let expected = mapped.flatMap {
      $0.isReadable ? UInt8($0.user * 16) + UInt8($0.vaddr) + 1 : nil
    }
    let got = fault == nil ? byte : nil
    if got != expected {
      diverge(
        "device \(name) reads \(got.map { "\($0)" } ?? "nothing") of page \(page), not \(expected.map { "\($0)" } ?? "nothing")"
      )
    }
    if got != nil { count("device reads a mapping") }
  }
}
