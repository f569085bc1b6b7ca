import Testing

// Comparisons of ours with what a C header has.

/// Both are of the same size.
func same<Ours, Theirs>(
  _: Ours.Type, _: Theirs.Type, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(MemoryLayout<Ours>.size == MemoryLayout<Theirs>.size, sourceLocation: sourceLocation)
}

/// Both fields are at the same place and of the same size.
func same<Ours, A, Theirs, B>(
  _ ours: KeyPath<Ours, A>, _ theirs: KeyPath<Theirs, B>,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let place = MemoryLayout<Ours>.offset(of: ours)
  #expect(place != nil, sourceLocation: sourceLocation)
  #expect(place == MemoryLayout<Theirs>.offset(of: theirs), sourceLocation: sourceLocation)
  #expect(MemoryLayout<A>.size == MemoryLayout<B>.size, sourceLocation: sourceLocation)
}

/// The numbers are those of a C array.
func same<Array>(
  _ ours: [UInt32], _ theirs: Array, sourceLocation: SourceLocation = #_sourceLocation
) {
  // SAFETY: a C array of unsigned comes as a tuple of them.
  let numbers = withUnsafeBytes(of: theirs) { [UInt32]($0.bindMemory(to: UInt32.self)) }
  #expect(ours == numbers, sourceLocation: sourceLocation)
}
