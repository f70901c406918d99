// ShowMACMoves: `vtepctl show mac-moves`, addresses that moved recently, and those that moved too often.

/// Asks for the addresses that moved.
public struct ShowMACMoves: PagedRequest {
  public typealias Row = MACMoveRow
  public typealias Answer = Page<MACMoveRow>
  public static let method = "show.mac-moves"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var cursor: UInt64?
  public var limit: Int?

  public init(cursor: UInt64? = nil, limit: Int? = nil) {
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case cursor, limit }
}

/// One address that moved.
public struct MACMoveRow: Codable, Equatable, Sendable {
  public enum State: String, Codable, Sendable, CaseIterable {
    /// Moved within the window, not more often than allowed.
    case moved
    /// Held at its first place.
    case frozen
  }

  public var vni: UInt32
  public var mac: String
  public var state: State
  /// `port NAME`, `port NAME vlan N` or `vtep ADDRESS`. Frozen: where the address is held; moved: where it came from.
  public var first: String
  /// Frozen: where it was also seen; moved: where it is.
  public var second: String
  /// Moves within the window.
  public var moves: Int
  /// Seconds since it was frozen; nil: it is not.
  @Nullable public var frozenSeconds: UInt32?
  /// Seconds until it is released.
  @Nullable public var releaseSeconds: UInt32?

  public init(
    vni: UInt32, mac: String, state: State, first: String, second: String, moves: Int, frozenSeconds: UInt32? = nil,
    releaseSeconds: UInt32? = nil
  ) {
    self.vni = vni
    self.mac = mac
    self.state = state
    self.first = first
    self.second = second
    self.moves = moves
    self.frozenSeconds = frozenSeconds
    self.releaseSeconds = releaseSeconds
  }

  enum CodingKeys: String, CodingKey {
    case vni, mac, state, first, second, moves
    case frozenSeconds = "frozen_s"
    case releaseSeconds = "release_s"
  }
}
