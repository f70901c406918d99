// HashSecrets: what a hash of addresses is mixed with, so that nobody outside can choose addresses that collide.

/// Two secret words.
public struct HashSecrets: Sendable {
  public let mask: UInt64
  /// Odd.
  public let multiplier: UInt64

  /// Drawn anew.
  public init() {
    self.init(mask: .random(in: .min ... .max), multiplier: .random(in: .min ... .max))
  }

  /// Known words, for measurements that must give the same result again: which addresses collide depends on them.
  public init(mask: UInt64, multiplier: UInt64) {
    self.mask = mask
    self.multiplier = multiplier | 1
  }
}
