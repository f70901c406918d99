// LinkProtocols: what becomes of link-local control frames (01:80:c2:00:00:0x: STP, LACP, LLDP, 802.1X) at a port.

/// The setting `l2-protocols`. MAC control frames (PAUSE, PFC) are dropped whatever it is.
public enum LinkProtocols: String, Sendable, CaseIterable {
  /// As IEEE 802.1Q wants it.
  case drop
  /// Into the VNI, and out of it by other ports that tunnel.
  case tunnel
  /// To a kernel tap of the port's own, and from there out of the port.
  case punt
}
