// MACEntryType: who put an entry into the forwarding database.

/// Origin of an entry. The operator's word (static) stands above a controller's, and both above what traffic teaches.
public enum MACEntryType: UInt8, Sendable, CaseIterable {
  case learned = 0
  case `static` = 1
  /// From an OVSDB controller (RFC 7047 transactions on `Ucast_Macs_Remote`).
  case controller = 3

  /// The type in the low two bits of `bits`; bit 0 tells configured entries from learned ones.
  @usableFromInline @inline(__always) init(bits: UInt64) {
    if bits & 1 == 0 { self = .learned } else { self = bits & 2 == 0 ? .static : .controller }
  }
}
