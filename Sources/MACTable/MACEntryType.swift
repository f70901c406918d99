// MACEntryType: who put an entry into the forwarding database.

/// Origin of an entry. The operator's word (static) stands above a controller's, and both above what traffic teaches.
public enum MACEntryType: UInt8, Sendable, CaseIterable {
  case learned
  case `static`
  /// From an OVSDB controller (RFC 7047 transactions on `Ucast_Macs_Remote`).
  case controller

  /// 0 for what traffic teaches, 1 for what is configured. Each class is flushed and counted on its own.
  var entryClass: Int { self == .learned ? 0 : 1 }
}
