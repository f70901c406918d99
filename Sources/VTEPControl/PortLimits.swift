// PortLimits: part of `vtepctl show ports`: a port's limits, and the frames dropped by them.

/// Limits of a port.
public struct PortLimits: Codable, Equatable, Sendable {
  /// Values in force, by their keys in the configuration file; 0: no limit.
  public var settings: [String: SettingValue]
  /// Learned addresses behind the port: what `mac-limit` counts.
  public var macs: Int
  /// Frames dropped by these limits, by reason; reasons that never occurred are left out.
  public var drops: [String: UInt64]

  public init(settings: [String: SettingValue] = [:], macs: Int = 0, drops: [String: UInt64] = [:]) {
    self.settings = settings
    self.macs = macs
    self.drops = drops
  }

  private enum CodingKeys: CodingKey { case macs, drops }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    macs = try container.decode(Int.self, forKey: .macs)
    drops = try container.decode([String: UInt64].self, forKey: .drops)
    settings = try PortKey.decode(inLimits: true, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(macs, forKey: .macs)
    try container.encode(drops, forKey: .drops)
    try PortKey.encode(settings, inLimits: true, to: encoder)
  }
}
