// UnderlaySettings: the IP network that carries the VXLAN packets (`underlay`).

import Encap

/// The underlay: VTEP source addresses, devices, and how to fill outer headers.
public struct UnderlaySettings: Equatable, Sendable {
  public enum Driver: String, Sendable, CaseIterable { case afPacket = "af_packet" }
  public enum TTL: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum DSCP: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum UDPChecksum: String, Sendable, CaseIterable { case auto, on, off }
  public enum PMTUMode: String, Sendable, CaseIterable { case reply, drop }
  public enum IPsecPolicyMode: String, Sendable, CaseIterable { case warn, refuse }

  /// VTEP source addresses: at most one of each family.
  public var addresses: [IPAddress]
  /// Kernel interfaces shared with the kernel; several when the host is routed over several uplinks.
  public var devices: [String]
  public var driver = Driver.afPacket
  public var udpPort: UInt16 = 4789
  public var ttl = TTL.fixed(64)
  public var multicastTTL: UInt8 = 1
  public var dscp = DSCP.inherit
  public var udpChecksum = UDPChecksum.auto
  /// What the sender of a packet that is too big for the path to a VTEP gets: an ICMP error, or nothing.
  public var pmtu = PMTUMode.reply
  /// 802.1p priorities as DSCPs.
  public var priorities = PriorityMap()
  /// What to do about IPsec policies of the host that match VXLAN packets, which bypass them.
  public var ipsecPolicy = IPsecPolicyMode.warn
  /// Accept a zero UDP checksum over IPv6 (RFC 6935 §5).
  public var acceptsZeroUDP6Checksum = false

  public init(addresses: [IPAddress], devices: [String]) {
    self.addresses = addresses
    self.devices = devices
  }
}
