// The VXLAN network identifier of RFC 7348 section 5: 24 bits that name one overlay segment.

/// A VXLAN network identifier, 0...16777215.
@frozen
public struct VNI: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The 24-bit value.
  public let rawValue: UInt32

  /// The largest value, 2^24 - 1.
  @inlinable public static var maximum: UInt32 { 0xff_ffff }

  /// Accepts 0...16777215 of any integer type; nil for everything else.
  @inlinable
  public init?(_ value: some BinaryInteger) {
    guard let value = UInt32(exactly: value), value <= VNI.maximum else { return nil }
    rawValue = value
  }

  /// The low 24 bits, for values that come out of a 24-bit field.
  @inlinable @inline(__always)
  public init(truncating value: UInt32) {
    rawValue = value & 0xff_ffff
  }

  public var description: String { String(rawValue) }

  @inlinable
  public static func < (left: VNI, right: VNI) -> Bool {
    left.rawValue < right.rawValue
  }
}
