// MACMove: an address that has changed its place, for `vtepctl show mac-moves` and the log.

/// An address that moved recently, or that moved too often and is frozen.
public struct MACMove: Equatable, Sendable {
  public var key: MACKey
  /// Frozen: the place where it is frozen. Else the place it came from.
  public var first: MACLocation
  /// Frozen: the other place where it was seen. Else its current place.
  public var second: MACLocation
  /// Moves within the window; frozen: those that led to it.
  public var moves: Int
  /// When it was frozen, on the caller's clock; nil: it is not frozen.
  public var frozenSinceSeconds: UInt32?

  public init(key: MACKey, first: MACLocation, second: MACLocation, moves: Int, frozenSinceSeconds: UInt32? = nil) {
    self.key = key
    self.first = first
    self.second = second
    self.moves = moves
    self.frozenSinceSeconds = frozenSinceSeconds
  }
}
