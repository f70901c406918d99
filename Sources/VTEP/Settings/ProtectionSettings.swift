// ProtectionSettings: how the whole switch guards against loops and against stations that claim the same address.
// PortOptions has the settings of single ports.

/// Guards for all ports and VNIs.
public struct ProtectionSettings: Equatable, Sendable {
  /// When to freeze an address that keeps moving. The defaults for moves and window are those of RFC 7432 §15.1.
  public struct MACMove: Equatable, Sendable {
    /// Moves that are allowed within the window; 0: any number, the guard is off.
    public var moves: UInt32 = 5
    public var windowSeconds: UInt32 = 180
    /// How long an address stays frozen.
    public var holdSeconds: UInt32 = 300
    /// For VNIs that do not override it. Virtual router addresses are never frozen.
    public var action = Action.freeze

    /// What to do with an address that moves too often.
    public enum Action: String, Sendable, CaseIterable {
      case freeze, report
    }

    public init() {}

    public static let maximumMoves = 64
    public static let windowRange = 1...3600
  }

  /// Ports with `loop-probe`.
  public struct LoopProbe: Equatable, Sendable {
    /// Interval between two probes of the same binding.
    public var intervalSeconds: UInt32 = 1
    /// How long a port stays shut after its probe has come back.
    public var holdSeconds: UInt32 = 60

    public init() {}

    public static let intervalRange = 1...60
  }

  /// Ports with `bpdu-guard`.
  public struct BPDUGuard: Equatable, Sendable {
    /// How long a port stays shut after receiving a BPDU.
    public var holdSeconds: UInt32 = 300

    public init() {}
  }

  public var macMove = MACMove()
  public var loopProbe = LoopProbe()
  public var bpduGuard = BPDUGuard()

  public init() {}

  /// Longest hold time of a guard, in seconds: a day.
  public static let holdRange = 1...86400
}
