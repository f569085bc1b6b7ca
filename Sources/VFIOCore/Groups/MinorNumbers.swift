/// Numbers for nodes: each the lowest that is free, as `ida_alloc_max` of the kernel gives them (lib/idr.c).
struct MinorNumbers {
  private var next: UInt32 = 0
  /// Below `next`.
  private var free: Set<UInt32> = []

  mutating func take() -> UInt32 {
    if let lowest = free.min() {
      free.remove(lowest)
      return lowest
    }
    defer { next += 1 }
    return next
  }

  mutating func giveBack(_ number: UInt32) {
    free.insert(number)
  }
}
