// JSONLimits: how much of a hostile peer's text is taken before the connection is given up.

/// Limits for what a peer may send.
public struct JSONLimits: Sendable, Equatable {
  /// Arrays and objects inside one another. A message of RFC 7047 needs about ten.
  public var depth: Int
  /// Bytes of one message. The whole of a database comes in one.
  public var byteCount: Int

  public init(depth: Int = 64, byteCount: Int = 512 << 20) {
    self.depth = depth
    self.byteCount = byteCount
  }
}
