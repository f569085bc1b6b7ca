public import SystemPackage

/// The errno that `body` throws, nil where it succeeds.
public func errno<Result>(_ body: () throws(Errno) -> Result) -> Errno? {
  do throws(Errno) {
    _ = try body()
    return nil
  } catch {
    return error
  }
}
