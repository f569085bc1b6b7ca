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

  private struct Slot {
    var backing: Backing
    var uses = 0
  }

  private var slots: [Slot?] = []
  private var free: [Int] = []
  private var numbers: [Key: Int] = [:]
  private var latest = 0

  subscript(number: Int) -> Backing { slots[number].unsafelyUnwrapped.backing }

  /// The number of the backing, which gets one more use.
  mutating func use(_ memory: any AddressSpace, _ window: SharedWindow?) -> Int {
    if latest < slots.count, let slot = slots[latest], slot.backing.memory === memory,
      slot.backing.window === window
    {
      slots[latest]?.uses += 1
      return latest
    }
    let key = Key(memory: ObjectIdentifier(memory), window: window.map { ObjectIdentifier($0) })
    latest = numbers[key] ?? (free.popLast() ?? slots.count)
    numbers[key] = latest
    if latest == slots.count { slots.append(nil) }
    if slots[latest] == nil {
      slots[latest] = Slot(backing: Backing(memory: memory, window: window))
    }
    slots[latest]?.uses += 1
    return latest
  }

  mutating func useAgain(_ number: Int) {
    slots[number]?.uses += 1
  }

  /// Takes a use back.
  mutating func drop(_ number: Int) {
    slots[number]?.uses -= 1
    guard let slot = slots[number], slot.uses == 0 else { return }
    let window = slot.backing.window.map { ObjectIdentifier($0) }
    numbers[Key(memory: ObjectIdentifier(slot.backing.memory), window: window)] = nil
    slots[number] = nil
    free.append(number)
  }
}
