// StormEntry: storm control limits of a port or a domain, as workers see them in the snapshot.

/// Limits in the form of the meters.
struct StormEntry {
  var broadcast = MeterRate.none
  var unknownUnicast = MeterRate.none
  var unknownMulticast = MeterRate.none

  init() {}

  init(_ limits: StormLimits) {
    broadcast = Self.rate(limits.broadcast)
    unknownUnicast = Self.rate(limits.unknownUnicast)
    unknownMulticast = Self.rate(limits.unknownMulticast)
  }

  /// The burst is a twentieth of a second's worth: over five seconds that is 1 % of the limit. It is at least a few frames, since
  /// hosts ask for an address two or three times in a row.
  private static func rate(_ packetsPerSecond: UInt64) -> MeterRate {
    MeterRate(unitsPerSecond: packetsPerSecond, burst: max(packetsPerSecond / 20, smallestBurst))
  }

  private static let smallestBurst: UInt64 = 4

  func isSet(_ flood: FloodClass) -> Bool {
    switch flood {
    case .broadcast: broadcast.isSet
    case .unknownUnicast: unknownUnicast.isSet
    case .unknownMulticast: unknownMulticast.isSet
    }
  }

  /// Takes a token for one frame.
  ///
  /// - Parameter now: time-stamp counter; never less than at the call before.
  /// - Returns: whether the frame stays below the limit of its class.
  func admits(_ flood: FloodClass, _ meters: inout StormMeters, now: UInt64) -> Bool {
    switch flood {
    case .broadcast: !broadcast.isSet || broadcast.admits(1, &meters.broadcast, now: now)
    case .unknownUnicast: !unknownUnicast.isSet || unknownUnicast.admits(1, &meters.unknownUnicast, now: now)
    case .unknownMulticast: !unknownMulticast.isSet || unknownMulticast.admits(1, &meters.unknownMulticast, now: now)
    }
  }
}
