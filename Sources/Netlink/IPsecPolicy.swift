// IPsecPolicy: the kernel's IPsec policies (xfrm). They do not apply to packet sockets, in either direction: packets that a policy
// would encrypt or block are sent in the clear. RFC 4301 section 4.4.1 calls this the security policy database.

import CMNL
import Encap
import Glibc

/// One policy of the network namespace.
public struct IPsecPolicy: Equatable, Sendable {
  public enum Direction: String, Sendable { case `in`, out, fwd }

  /// Its identity, like `index` in `ip xfrm policy`.
  public var index: UInt32
  public var direction: Direction
  /// The lowest value is matched first.
  public var priority: UInt32
  /// Packets are dropped or must be transformed; false: they pass in the clear (an exception from other policies).
  public var restricts: Bool
  public var source: IPPrefix
  public var destination: IPPrefix
  /// IP protocol; 0 = any.
  public var protocolNumber: UInt8
  /// Ports and their masks, host byte order; a mask of 0 = any.
  public var sourcePort: (value: UInt16, mask: UInt16)
  public var destinationPort: (value: UInt16, mask: UInt16)
  /// 0 = any.
  public var interfaceIndex: Int32
  /// Applies only to packets with a mark, or of an xfrm interface.
  public var isSpecial: Bool

  public static func == (left: IPsecPolicy, right: IPsecPolicy) -> Bool {
    left.description == right.description && left.restricts == right.restricts && left.isSpecial == right.isSpecial
      && left.interfaceIndex == right.interfaceIndex && left.sourcePort == right.sourcePort && left.destinationPort == right.destinationPort
  }

  /// Whether it matches UDP datagrams from any port to `port`.
  public func matches(from: IPAddress, to: IPAddress, udpPort port: UInt16) -> Bool {
    !isSpecial && source.contains(from) && destination.contains(to) && [0, UInt8(IPPROTO_UDP)].contains(protocolNumber)
      && destinationPort.value & destinationPort.mask == port & destinationPort.mask
  }
}

extension IPsecPolicy: CustomStringConvertible {
  /// `dir out src 192.0.2.1/32 dst 0.0.0.0/0 proto udp dport 4789 index 17 priority 0`, in the notation of `ip xfrm policy`.
  public var description: String {
    var words = ["dir \(direction.rawValue)", "src \(source)", "dst \(destination)"]
    if protocolNumber != 0 { words.append("proto \(protocolNumber == UInt8(IPPROTO_UDP) ? "udp" : "\(protocolNumber)")") }
    if sourcePort.mask != 0 { words.append("sport \(sourcePort.value)") }
    if destinationPort.mask != 0 { words.append("dport \(destinationPort.value)") }
    words += ["index \(index)", "priority \(priority)"]
    return words.joined(separator: " ")
  }

  init?(_ message: NetlinkMessage) {
    guard message.type == Int(XFRM_MSG_NEWPOLICY), let info = message.familyHeader(PolicyInfo.self) else { return nil }
    let selector = info.selector
    let isIPv4 = Int32(selector.family) == AF_INET
    guard isIPv4 || Int32(selector.family) == AF_INET6,
      let direction = [XFRM_POLICY_IN: Direction.in, XFRM_POLICY_OUT: .out, XFRM_POLICY_FWD: .fwd][Int(info.dir)],
      let source = IPPrefix(selector.source, length: selector.sourceLength, isIPv4: isIPv4),
      let destination = IPPrefix(selector.destination, length: selector.destinationLength, isIPv4: isIPv4)
    else { return nil }
    let attributes = message.attributes(after: PolicyInfo.self)
    let interface = attributes[Int(XFRMA_IF_ID.rawValue)]?.value(UInt32.self) ?? 0
    let mark = attributes[Int(XFRMA_MARK.rawValue)]?.value(xfrm_mark.self)
    self.init(
      index: info.index, direction: direction, priority: info.priority,
      restricts: Int(info.action) != Int(XFRM_POLICY_ALLOW) || attributes[Int(XFRMA_TMPL.rawValue)] != nil,
      source: source, destination: destination, protocolNumber: selector.protocolNumber,
      sourcePort: (UInt16(bigEndian: selector.sourcePort), UInt16(bigEndian: selector.sourcePortMask)),
      destinationPort: (UInt16(bigEndian: selector.destinationPort), UInt16(bigEndian: selector.destinationPortMask)),
      interfaceIndex: selector.interfaceIndex, isSpecial: interface != 0 || (mark.map { $0.v & $0.m != 0 } ?? false))
  }
}

/// `struct xfrm_selector`, whose unions Swift does not treat as plain data. Ports and addresses in network byte order.
private struct PolicySelector: BitwiseCopyable {
  typealias Address = (UInt32, UInt32, UInt32, UInt32)

  var destination: Address = (0, 0, 0, 0)
  var source: Address = (0, 0, 0, 0)
  var destinationPort: UInt16 = 0
  var destinationPortMask: UInt16 = 0
  var sourcePort: UInt16 = 0
  var sourcePortMask: UInt16 = 0
  var family: UInt16 = 0
  var destinationLength: UInt8 = 0
  var sourceLength: UInt8 = 0
  var protocolNumber: UInt8 = 0
  var interfaceIndex: Int32 = 0
  var user: UInt32 = 0
}

/// `struct xfrm_userpolicy_info`.
private struct PolicyInfo: BitwiseCopyable {
  var selector = PolicySelector()
  var lifetime = xfrm_lifetime_cfg()
  var used = xfrm_lifetime_cur()
  var priority: UInt32 = 0
  var index: UInt32 = 0
  var dir: UInt8 = 0
  var action: UInt8 = 0
  var flags: UInt8 = 0
  var share: UInt8 = 0
  /// In C, sizeof includes the padding at the end.
  var padding: UInt32 = 0
}

/// `struct xfrm_userpolicy_id`.
private struct PolicyID: BitwiseCopyable {
  var selector = PolicySelector()
  var index: UInt32 = 0
  var dir: UInt8 = 0
  var padding: (UInt8, UInt8, UInt8) = (0, 0, 0)
}

extension IPPrefix {
  fileprivate init?(_ address: PolicySelector.Address, length: UInt8, isIPv4: Bool) {
    let bytes = withUnsafeBytes(of: address) { Array($0.prefix(isIPv4 ? 4 : 16)) }
    guard let address = IPAddress(bytes: bytes) else { return nil }
    self.init(address: address, length: Int(length))
  }
}

/// The policies and notifications of changes. Not for concurrent use.
public final class IPsecPolicies {
  private let socket: NetlinkSocket
  private let monitor: NetlinkTransport

  /// Nil if the kernel has no IPsec (CONFIG_XFRM_USER).
  public init?() throws(NetlinkError) {
    do {
      socket = try NetlinkSocket(bus: NETLINK_XFRM)
      monitor = try NetlinkTransport(bus: NETLINK_XFRM, nonBlocking: true, operation: "open IPsec monitor")
    } catch {
      if error.code == EPROTONOSUPPORT { return nil }
      throw error
    }
    let code = monitor.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(XFRMNLGRP_POLICY.rawValue))
    if code != 0 { throw NetlinkError("subscribe to IPsec policies", subject: "netlink", code: code) }
  }

  /// All policies, in the order of matching.
  /// - Throws: EPERM without CAP_NET_ADMIN.
  public func all() throws(NetlinkError) -> [IPsecPolicy] {
    let request = NetlinkRequest(Int(XFRM_MSG_GETPOLICY), flags: NLM_F_DUMP, operation: "list IPsec policies")
    request.putFamilyHeader(PolicyID())
    return try socket.dump(request) { IPsecPolicy($0) }.sorted { ($0.priority, $0.index) < ($1.priority, $1.index) }
  }

  /// Whether policies have changed since the last call. Never blocks.
  public func haveChanged() -> Bool {
    var changed = false
    while true {
      let (_, code) = monitor.receive()
      // ENOBUFS: notifications were lost, so there were some.
      if code != 0 && code != ENOBUFS { return changed }
      changed = true
    }
  }
}
