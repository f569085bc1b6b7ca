enum CopyBenchmark {
  static func run() throws {}
}
