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

extension PortSettings {
  /// Name of the tap that control frames are punted to; nil: they are not.
  ///
  /// `punt-` and the port's name; of a name longer than ten bytes the first five, a dash, and four digits that depend on all of it.
  public var puntTapName: String? {
    guard linkProtocols == .punt else { return nil }
    guard name.utf8.count > 10 else { return "punt-\(name)" }
    let digits = String(PortHost.hash(name) & 0xffff, radix: 16)
    return "punt-\(name.prefix(5))-\(String(repeating: "0", count: 4 - digits.count))\(digits)"
  }
}
