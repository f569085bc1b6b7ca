import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import SupervisorTransport

/// What it costs to look into a large emulated tree, in look-ups and lists.
@Suite struct EmulatedTreeTests {
  /// `/t` has directories with two directories each; everything that is asked of it is counted.
  private final class Tree: EmulatedTree {
    static let count = 256
    private let counts = Mutex((lookups: 0, lists: 0))

    var root: EmulatedDirectory { directory(["t"]) { self.directory(Self.all) { self.device } } }

    static let all = (0..<count).map { "d\($0)" }

    private var device: EmulatedDirectory {
      directory(["a", "b"]) { self.directory([]) { fatalError("nothing is in it") } }
    }

    private func directory(
      _ names: [String], _ child: @escaping @Sendable () -> EmulatedDirectory
    ) -> EmulatedDirectory {
      EmulatedDirectory(
        isWhole: true,
        names: {
          self.counts.withLock { $0.lists += 1 }
          return names
        },
        child: { name in
          self.counts.withLock { $0.lookups += 1 }
          return names.contains(name) ? .directory(child()) : nil
        })
    }

    /// How many look-ups and lists `body` takes.
    func cost(_ body: () throws -> Void) rethrows -> [Int] {
      counts.withLock { $0 = (0, 0) }
      try body()
      return counts.withLock { [$0.lookups, $0.lists] }
    }
  }

  private let tree = Tree()

  @Test func aPathTakesOneLookupPerNameAndNoList() throws {
    let resolver = PathResolver(tree: CombinedTree(tree))
    let cost = try tree.cost {
      _ = try resolver.resolve("/t/d7/a", in: "/", followsLast: true)
    }
    #expect(cost == [3, 0])
    let relative = try tree.cost {
      _ = try resolver.resolve("../d8/./b", in: "/t/d7", followsLast: true)
    }
    #expect(relative == [4, 0])
  }

  @Test func severalTreesAreNotListedEither() {
    let other = Tree()
    let combined = CombinedTree(tree, [other])
    #expect(tree.cost { _ = combined.node(at: "/t/d7/a") } == [3, 0])
    guard case .directory(let directory)? = combined.node(at: "/t") else {
      Issue.record("no directory")
      return
    }
    let cost = tree.cost { _ = directory.names }
    #expect(cost[1] == 1)
    #expect(directory.names == Tree.all)
    #expect(directory.isWhole)
  }

  @Test func allIsMadeOnceWithOneLookupPerNodeAndOneListPerDirectory() throws {
    let scratch = ScratchTree(tree, owners: NodeOwners(), in: "/tmp")
    defer { scratch.remove() }
    let nodes = 1 + 3 * Tree.count
    let first = try tree.cost {
      _ = try scratch.open("/t/d7", O_RDONLY | O_DIRECTORY)
    }
    #expect(first == [nodes, nodes])
    let place = try #require(scratch.path)
    #expect(Set(ScratchTree.names(in: place + "/t")) == Set(Tree.all))
    #expect(Set(ScratchTree.names(in: place + "/t/d8")) == ["a", "b"])
    // After that, what is opened and what is below it.
    let again = try tree.cost {
      _ = try scratch.open("/t/d7", O_RDONLY | O_DIRECTORY)
    }
    #expect(again == [2 + 2, 1 + 2])
  }

  @Test func whatIsNotThereCannotBeOpened() {
    let scratch = ScratchTree(tree, owners: NodeOwners(), in: "/tmp")
    defer { scratch.remove() }
    #expect(throws: Errno.noSuchFileOrDirectory) { _ = try scratch.open("/t/none", O_RDONLY) }
  }
}
