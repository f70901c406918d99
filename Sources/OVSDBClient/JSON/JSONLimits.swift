// JSONLimits: limits on a peer's JSON. Exceeding one closes the connection.

/// Limits on what a peer may send.
public struct JSONLimits: Sendable, Equatable {
  /// Nesting depth of arrays and objects. A message of RFC 7047 needs about ten.
  public var depth: Int
  /// Bytes of one message. A whole database arrives in one message.
  public var byteCount: Int

  public init(depth: Int = 64, byteCount: Int = 512 << 20) {
    self.depth = depth
    self.byteCount = byteCount
  }
}
