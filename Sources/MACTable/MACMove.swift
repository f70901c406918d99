// MACMove: an address that has changed its place, for `vtepctl show mac-moves` and the log.

/// An address that moved lately, or that moved too often and is frozen.
public struct MACMove: Equatable, Sendable {
  public var key: MACKey
  /// Frozen: where it is held. Else where it came from.
  public var first: MACLocation
  /// Frozen: where it was also seen. Else where it is now.
  public var second: MACLocation
  /// Moves within the window; frozen: those that led to it.
  public var moves: Int
  /// Since when it is frozen, on the caller's clock; nil: it is not.
  public var frozenSinceSeconds: UInt32?
}
