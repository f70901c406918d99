// LinkProtocols: how a port treats link-local control frames (01:80:c2:00:00:0x: STP, LACP, LLDP, 802.1X).

/// The setting `l2-protocols`. MAC control frames (PAUSE, PFC) are always dropped.
public enum LinkProtocols: String, Sendable, CaseIterable {
  /// As IEEE 802.1Q requires.
  case drop
  /// Forward them into the VNI, and out through other ports that tunnel.
  case tunnel
  /// Exchange them with the port's own kernel tap.
  case punt
}
