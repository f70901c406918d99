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
    /// In VNIs that do not say otherwise. Addresses of virtual routers are never frozen.
    public var action = Action.freeze

    /// What is done about an address that moves too often.
    public enum Action: String, Sendable, CaseIterable {
      case freeze, report
    }

    public init() {}

    public static let maximumMoves = 64
    public static let windowRange = 1...3600
  }

  /// Ports with `loop-probe`.
  public struct LoopProbe: Equatable, Sendable {
    /// Between two probes of the same place.
    public var intervalSeconds: UInt32 = 1
    /// How long a port stays shut whose probe has come back.
    public var holdSeconds: UInt32 = 60

    public init() {}

    public static let intervalRange = 1...60
  }

  /// Ports with `bpdu-guard`.
  public struct BPDUGuard: Equatable, Sendable {
    /// How long a port stays shut that has received a BPDU.
    public var holdSeconds: UInt32 = 300

    public init() {}
  }

  public var macMove = MACMove()
  public var loopProbe = LoopProbe()
  public var bpduGuard = BPDUGuard()

  public init() {}

  /// Seconds that something may be held for by a guard: a day at most.
  public static let holdRange = 1...86400
}
