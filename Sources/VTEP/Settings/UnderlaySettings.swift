// UnderlaySettings: the IP network that carries the VXLAN packets (`underlay`).

import Encap

/// The underlay: VTEP source addresses, devices, and how to fill outer headers.
public struct UnderlaySettings: Equatable, Sendable {
  /// How an interface that is shared with the kernel is used: by packet sockets, or by AF_XDP sockets where it can have them.
  public enum Driver: String, Sendable, CaseIterable { case afPacket = "af_packet", afXDP = "af_xdp" }
  /// Which offloads of NICs that DPDK drives are used: those that have passed the self-test, none, or all that the driver offers.
  public enum OffloadMode: String, Sendable, CaseIterable { case auto, off, trust }
  public enum TTL: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum DSCP: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum UDPChecksum: String, Sendable, CaseIterable { case auto, on, off }
  public enum PMTUMode: String, Sendable, CaseIterable { case reply, drop }
  public enum IPsecPolicyMode: String, Sendable, CaseIterable { case warn, refuse }

  /// VTEP source addresses: at most one of each family.
  public var addresses: [IPAddress]
  /// Kernel interfaces, several when the host is routed over several uplinks: shared with the kernel, or the taps of `nics`.
  public var devices: [String]
  /// NICs that DPDK drives, as PCI addresses or devargs, beside their taps in `devices`. Empty: the uplinks are shared with the kernel.
  public var nics: [String] = []
  public var driver = Driver.afPacket
  /// Of `nics`.
  public var offloads = OffloadMode.auto
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
  /// BFD towards other VTEPs; nil: only where a controller asks for it.
  public var bfd: UnderlayBFD?

  public init(addresses: [IPAddress], devices: [String]) {
    self.addresses = addresses
    self.devices = devices
  }

  /// An uplink: a kernel interface, and the NIC behind it if that is ours.
  struct Uplink: Equatable, CustomStringConvertible {
    var device: String
    var nic: String?
    /// Of an interface that is shared.
    var driver = Driver.afPacket
    /// Of a NIC that is ours.
    var offloads = OffloadMode.auto

    /// What may be on a socket of the machine.
    var nicName: String { nic.map(DPDKDevice.name) ?? device }

    var description: String {
      guard let nic else { return "the interface \(device)" }
      let mode = offloads == .auto ? "" : " and offloads: \(offloads.rawValue)"
      return "the NIC \(DPDKDevice.name(nic)) with the tap \(device)\(mode)"
    }

    /// For messages: the key and its value.
    var subject: String { nic == nil ? "underlay.device \(device)" : "underlay.tap \(device)" }
  }

  var uplinks: [Uplink] {
    nics.isEmpty
      ? devices.map { Uplink(device: $0, driver: driver) } : zip(devices, nics).map { Uplink(device: $0, nic: $1, offloads: offloads) }
  }

  /// DPDK drives the NICs, and `devices` are taps.
  public var ownsNICs: Bool { !nics.isEmpty }
}
