// MACEntryType: who put an entry into the forwarding database.

/// Origin of an entry. Static (the operator's) outranks controller, and both outrank learned.
public enum MACEntryType: UInt8, Sendable, CaseIterable {
  case learned
  case `static`
  /// From an OVSDB controller (RFC 7047 transactions on `Ucast_Macs_Remote`).
  case controller

  /// 0 for learned entries, 1 for configured ones. Each class is flushed and counted separately.
  var entryClass: Int { self == .learned ? 0 : 1 }
}
