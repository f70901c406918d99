// ProtectionSettings: how the whole switch guards itself against loops and against stations that claim the same address.
// What a single port does about them stands in PortOptions.

/// Guards that hold for all ports and VNIs.
public struct ProtectionSettings: Equatable, Sendable {
  /// When an address that moves to and fro is frozen. The defaults for moves and window are those of RFC 7432 §15.1.
  public struct MACMove: Equatable, Sendable {
    /// Moves that are allowed within the window; 0: any number, the guard is off.
    public var moves: UInt32 = 5
    public var windowSeconds: UInt32 = 180
    /// How long an address stays frozen.
    public var holdSeconds: UInt32 = 300

    public init() {}

    public static let maximumMoves = 64
    public static let windowRange = 1...3600
  }

  public var macMove = MACMove()

  public init() {}

  /// Seconds that something may be held for by a guard: a day at most.
  public static let holdRange = 1...86400
}
