// Link: a network interface as the kernel sees it. The underlay device and `netdev` ports are tracked as links.

import CMNL
import Encap

/// A network interface in the namespace where the socket was opened.
public struct Link: Equatable, Sendable {
  public var index: Int32
  public var name: String
  /// All zero if the device has no Ethernet address (tun, loopback).
  public var mac: MACAddress
  /// In bytes, without the Ethernet header.
  public var mtu: Int
  /// Administratively up (IFF_UP).
  public var isUp: Bool
  /// Up, with carrier, and operational state "up" or "unknown" (RFC 2863): frames can pass.
  public var isRunning: Bool
  /// Kind of a virtual device ("veth", "tun", "bridge", "vxlan"); nil for hardware and loopback.
  public var kind: String?
  /// Link-layer type (ifi_type, ARPHRD_*): 1 = Ethernet, 65534 = no header.
  public var hardwareType: UInt16
  /// Index of the bridge or bond that this interface is a member of.
  public var masterIndex: Int32?
  /// ID of the other end's namespace (veth); nil if it is in this one.
  public var linkNetnsID: Int32?
  /// Index of the interface below (VLAN, macvlan), or of the other end of a veth.
  public var lowerIndex: Int32?
  /// The users of a tun or tap interface; nil for other kinds.
  public var tun: TunState?
  /// Somebody wants every frame: tcpdump, or the bridge that it is a member of.
  public var isPromiscuous = false

  /// The user side of a tun or tap interface: descriptors of /dev/net/tun.
  public struct TunState: Equatable, Sendable {
    /// The interface persists when nobody has it open.
    public var isPersistent: Bool
    /// Descriptors attached to a multi-queue interface, including those with a disabled queue; 0 with a single queue, and on
    /// kernels that do not report it (before Linux 4.20).
    public var queueCount: Int

    /// A process has it open, as far as the kernel reports.
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

  /// Its frames begin with an Ethernet header; true for loopback too.
  public var isEthernet: Bool { [UInt16(ARPHRD_ETHER), UInt16(ARPHRD_LOOPBACK)].contains(hardwareType) }
}
