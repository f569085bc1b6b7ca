import ClientAccess

/// Client memory that mappings lead to, and how it is reached.
///
/// @unchecked: `uses` is the table's, and changes only with all of its locks held.
final class Backing: @unchecked Sendable {
  fileprivate var uses = 0
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
  private var free: [Int] = []
  private var numbers: [Key: Int] = [:]
  private var latest = 0

  subscript(number: Int) -> Backing { slots[number].unsafelyUnwrapped }

  /// The number of the backing, which gets one more use.
  mutating func use(_ memory: any AddressSpace, _ window: SharedWindow?) -> Int {
    if latest < slots.count, let backing = slots[latest], backing.memory === memory,
      backing.window === window
    {
      backing.uses += 1
      return latest
    }
    let key = Key(memory: ObjectIdentifier(memory), window: window.map { ObjectIdentifier($0) })
    latest = numbers[key] ?? (free.popLast() ?? slots.count)
    numbers[key] = latest
    if latest == slots.count { slots.append(nil) }
    let backing = slots[latest] ?? Backing(memory: memory, window: window)
    slots[latest] = backing
    backing.uses += 1
    return latest
  }

  func useAgain(_ number: Int) {
    slots[number]?.uses += 1
  }

  /// Takes a use back.
  mutating func drop(_ number: Int) {
    guard let backing = slots[number] else { return }
    backing.uses -= 1
    guard backing.uses == 0 else { return }
    let window = backing.window.map { ObjectIdentifier($0) }
    numbers[Key(memory: ObjectIdentifier(backing.memory), window: window)] = nil
    slots[number] = nil
    free.append(number)
  }
}
