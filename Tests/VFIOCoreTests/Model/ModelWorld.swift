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
  static let vaddr: UInt64 = 0x4000_0000
  static let pageSize: UInt64 = 4096

  var model: DocumentModel
  var divergence: String?
  /// What was done, for people who replay it.
  var trace: [String] = []
  /// How often each outcome of each operation was seen.
  var counts: [Outcome: Int] = [:]

  struct Outcome: Hashable, CustomStringConvertible {
    var operation: String
    var error: Errno?
    /// In the middle of another call.
    var isMeanwhile = false

    var description: String {
      "\(isMeanwhile ? "meanwhile " : "")\(operation): \(error.map { "\($0)" } ?? "done")"
    }
  }

  let vfio: VFIO
  let ops = OpsDouble()
  let clients: [MemoryClient]
  var files: [Int: any VFIOFile] = [:]
  /// The copies of descriptors, each by who has it.
  var copies: [(user: Int, file: Int)] = []
  var ports: [String: DomainPort] = [:]
  var filesMade = 0
  let unbindsCarriedOut = Mutex(0)
  var random: SplitMix64
  /// Whether this is in the middle of a call.
  var isNested = false

  let isTraced: Bool

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

  func diverge(_ what: String) {
    if divergence == nil { divergence = what }
  }

  func compare(
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

  func count(_ what: String) {
    counts[Outcome(operation: what), default: 0] += 1
  }

  /// Something else happens in the middle of the next call, when that reaches the bus driver there; `first`
  /// does in any case.
  func meanwhile(
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
  func nest() {
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

  func forgetMoments() {
    guard !isNested else { return }
    ops.answers.withLock { answers in
      (answers.onMatch, answers.onOpen, answers.onRelease, answers.claim) = (nil, nil, nil, nil)
      answers.openError = nil
    }
  }

  // MARK: - Choices

  func randomDevice() -> (name: String, group: Group) {
    Self.devices.randomElement(using: &random) ?? Self.devices[0]
  }

  /// One that suits, most of the time.
  func device(_ suits: (String) -> Bool) -> (name: String, group: Group) {
    let suiting = Self.devices.filter { suits($0.name) }
    guard Int.random(in: 0..<8, using: &random) > 0,
      let device = suiting.randomElement(using: &random)
    else { return randomDevice() }
    return device
  }

  /// Some copy of a descriptor of the kind that `suits`.
  func randomCopy(_ suits: (DocumentModel.File) -> Bool) -> (user: Int, file: Int)? {
    copies.filter { model.files[$0.file].map(suits) ?? false }.randomElement(using: &random)
  }

  func isGroup(_ file: DocumentModel.File) -> Bool { model.group(of: file) != nil }

  func isIOMMU(_ file: DocumentModel.File) -> Bool {
    if case .iommu = file { true } else { false }
  }

  func newFile(_ file: any VFIOFile, of user: Int, _ number: Int) {
    files[number] = file
    copies.append((user, number))
  }

  func nextNumber() -> Int {
    filesMade += 1
    return filesMade
  }

  /// An ioctl that may give a file.
  func ioctl(
    _ file: Int, _ user: Int, _ request: Draft2011.Request, _ argument: UInt64 = 0
  ) throws(Errno) -> (any VFIOFile)? {
    guard let file = files[file] else { return nil }
    let result = try file.ioctl(request.rawValue, argument, from: clients[user])
    if case .file(let file) = result { return file }
    return nil
  }
}
