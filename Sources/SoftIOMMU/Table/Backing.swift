import ClientAccess

/// Client memory that mappings lead to, and how it is reached.
final class Backing: Sendable {
  let memory: any AddressSpace
  /// The same pages in our own memory, where they are shared.
  let window: SharedWindow?
  /// Where it is memory of devices, which nobody locks.
  let devices: [Range<ClientAddress>]

  init(memory: any AddressSpace, _ extent: MappedExtent) {
    self.memory = memory
    window = extent.window
    devices = extent.devices
  }

  /// The window, where it shows what the client has there.
  @inline(__always)
  var usableWindow: SharedWindow? {
    guard let window, !window.isStale else { return nil }
    return window
  }

  /// How many bytes of a mapping count as locked.
  @inline(__always)
  func locked(_ vaddr: UInt64, _ size: UInt64) -> UInt64 {
    devices.isEmpty ? size : devices.bytesOutside(vaddr, size)
  }
}

extension [Range<ClientAddress>] {
  /// How many of the `size` bytes at `address` are in none of these ranges, which are apart.
  func bytesOutside(_ address: UInt64, _ size: UInt64) -> UInt64 {
    reduce(size) { left, range in
      let first = Swift.max(range.lowerBound.rawValue, address)
      let end = Swift.min(range.upperBound.rawValue, address + size)
      return left - (first < end ? end - first : 0)
    }
  }
}

/// The backings of a domain, each once, by the numbers that its mappings have of them.
struct Backings {
  private struct Key: Hashable {
    var memory: ObjectIdentifier
    var window: ObjectIdentifier?
    var devices: [Range<ClientAddress>]

    init(_ memory: any AddressSpace, _ window: SharedWindow?, _ devices: [Range<ClientAddress>]) {
      self.memory = ObjectIdentifier(memory)
      self.window = window.map { ObjectIdentifier($0) }
      self.devices = devices
    }
  }

  private var slots: ContiguousArray<Backing?> = []
  /// How many mappings each has. Next to it, so that counting touches no reference.
  private var uses: ContiguousArray<Int> = []
  private var free: [Int] = []
  private var numbers: [Key: Int] = [:]
  private var latest: (key: Key, number: Int)?

  subscript(number: Int) -> Backing { slots[number].unsafelyUnwrapped }

  /// The number of the backing, which gets one more use.
  mutating func use(_ memory: any AddressSpace, _ extent: MappedExtent) -> Int {
    let key = Key(memory, extent.window, extent.devices)
    if let latest, latest.key == key {
      uses[latest.number] += 1
      return latest.number
    }
    let number = numbers[key] ?? add(key, Backing(memory: memory, extent))
    latest = (key, number)
    uses[number] += 1
    return number
  }

  mutating func useAgain(_ number: Int) {
    uses[number] += 1
  }

  /// Takes a use back.
  mutating func drop(_ number: Int) {
    uses[number] -= 1
    if uses[number] == 0 { remove(number) }
  }

  private mutating func add(_ key: Key, _ backing: Backing) -> Int {
    let number = free.popLast() ?? slots.count
    if number == slots.count {
      slots.append(nil)
      uses.append(0)
    }
    slots[number] = backing
    numbers[key] = number
    return number
  }

  private mutating func remove(_ number: Int) {
    let backing = self[number]
    numbers[Key(backing.memory, backing.window, backing.devices)] = nil
    slots[number] = nil
    free.append(number)
    latest = nil
  }
}
