import ClientAccess

/// Client memory that mappings lead to, and how it is reached.
final class Backing: Sendable {
  let memory: any AddressSpace
  /// The same pages in our own memory, where they are shared.
  let window: SharedWindow?

  init(memory: any AddressSpace, window: SharedWindow?) {
    self.memory = memory
    self.window = window
  }
}

/// The backings of a domain, each once, by the numbers that its mappings have of them.
struct Backings {
  private struct Key: Hashable {
    var memory: ObjectIdentifier
    var window: ObjectIdentifier?
  }

  private var slots: ContiguousArray<Backing?> = []
  /// How many mappings each has. Next to it, so that counting touches no reference.
  private var uses: ContiguousArray<Int> = []
  private var free: [Int] = []
  private var numbers: [Key: Int] = [:]
  private var latest: (key: Key, number: Int)?

  subscript(number: Int) -> Backing { slots[number].unsafelyUnwrapped }

  /// The number of the backing, which gets one more use.
  mutating func use(_ memory: any AddressSpace, _ window: SharedWindow?) -> Int {
    let key = Key(memory: ObjectIdentifier(memory), window: window.map { ObjectIdentifier($0) })
    if let latest, latest.key == key {
      uses[latest.number] += 1
      return latest.number
    }
    let number = numbers[key] ?? add(key, Backing(memory: memory, window: window))
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
    let window = backing.window.map { ObjectIdentifier($0) }
    numbers[Key(memory: ObjectIdentifier(backing.memory), window: window)] = nil
    slots[number] = nil
    free.append(number)
    latest = nil
  }
}
