// Link: a network interface as the kernel sees it. The underlay device and `netdev` ports are followed through these.

import CMNL
import Encap

/// A network interface of the namespace the socket was opened in.
public struct Link: Equatable, Sendable {
  public var index: Int32
  public var name: String
  /// All zero when the device has no Ethernet address (tun, loopback).
  public var mac: MACAddress
  /// In bytes, without the Ethernet header.
  public var mtu: Int
  /// Administratively up (IFF_UP).
  public var isUp: Bool
  /// Up, with carrier, and operational state "up" or "unknown" (RFC 2863): frames can pass.
  public var isRunning: Bool
  /// Kind of a virtual device ("veth", "tun", "bridge", "vxlan"); nil for hardware and loopback.
  public var kind: String?
  /// What its frames begin with (ifi_type, ARPHRD_*): 1 = an Ethernet header, 65534 = nothing.
  public var hardwareType: UInt16
  /// Bridge or bond this interface is a member of.
  public var masterIndex: Int32?
  /// Identifier of the namespace in which the other end lives (veth); nil when it is in this one.
  public var linkNetnsID: Int32?
  /// Interface below this one (VLAN, macvlan), or the other end of a veth.
  public var lowerIndex: Int32?
  /// How a tun or tap interface is held; nil for other kinds.
  public var tun: TunState?

  /// The far side of a tun or tap interface: descriptors of /dev/net/tun.
  public struct TunState: Equatable, Sendable {
    /// The interface stays when nobody has it open.
    public var isPersistent: Bool
    /// Descriptors attached to an interface of several queues, those with a disabled queue included; 0 with one queue, and
    /// where the kernel does not tell (before Linux 4.20).
    public var queueCount: Int

    /// Some process has it open, as far as the kernel tells.
    public var isHeld: Bool { !isPersistent || queueCount > 0 }
  }

  public init(
    index: Int32, name: String, mac: MACAddress, mtu: Int, isUp: Bool, isRunning: Bool, kind: String? = nil,
    hardwareType: UInt16 = 1, masterIndex: Int32? = nil, linkNetnsID: Int32? = nil, lowerIndex: Int32? = nil, tun: TunState? = nil
  ) {
    self.index = index
    self.name = name
    self.mac = mac
    self.mtu = mtu
    self.isUp = isUp
    self.isRunning = isRunning
    self.kind = kind
    self.hardwareType = hardwareType
    self.masterIndex = masterIndex
    self.linkNetnsID = linkNetnsID
    self.lowerIndex = lowerIndex
    self.tun = tun
  }
  /// Its frames begin with an Ethernet header. The loopback interface's do, too.
  public var isEthernet: Bool { [UInt16(ARPHRD_ETHER), UInt16(ARPHRD_LOOPBACK)].contains(hardwareType) }
}
