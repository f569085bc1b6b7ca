/// Somebody who is told of groups, and of what he has not been told yet.
struct Subscriber {
  let observer: Registry.Observer
  /// Of each group nothing, one event, or that it vanished and that it appeared: as many as there are groups
  /// that he knows or that are there, however often they come and go.
  private var untold: [GroupEvent]
  /// How many of `untold` he has been told of.
  private var told = 0

  /// - Parameter groups: those that are there already.
  init(_ observer: @escaping Registry.Observer, groups: [GroupID]) {
    self.observer = observer
    untold = groups.map(GroupEvent.appeared)
  }

  mutating func post(_ event: GroupEvent) {
    if case .vanished(let id) = event,
      let index = untold[told...].lastIndex(of: .appeared(id))
    {
      // He never heard of it.
      untold.remove(at: index)
    } else {
      untold.append(event)
    }
  }

  /// The next event, which counts as told from then on.
  mutating func take() -> GroupEvent? {
    guard told < untold.count else { return nil }
    defer {
      told += 1
      if told * 2 > untold.count {
        untold.removeFirst(told)
        told = 0
      }
    }
    return untold[told]
  }
}
