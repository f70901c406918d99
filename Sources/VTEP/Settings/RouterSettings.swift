// RouterSettings: a logical router (`routers`): which VNIs it joins, its address and access list in each, and its static routes. The same
// router may run on many VTEPs at once, with the same MAC address (docs/decisions/0044).

import Encap

/// An address of a router with the prefix of the network around it.
public struct RouterAddress: Hashable, Comparable, Sendable, LosslessStringConvertible {
  public var address: IPAddress
  public var prefix: IPPrefix

  /// Nil when the length is too large for the address family.
  public init?(_ address: IPAddress, length: Int) {
    guard let prefix = IPPrefix(address: address, length: length) else { return nil }
    self.address = address
    self.prefix = prefix
  }

  /// Parses `192.0.2.1/24`; the host bits are the router's.
  public init?(_ text: String) {
    guard let prefix = IPPrefix(text), let address = text.split(separator: "/").first.flatMap({ IPAddress(String($0)) }) else { return nil }
    self.address = address
    self.prefix = prefix
  }

  public var description: String { "\(address)/\(prefix.length)" }

  public static func < (left: RouterAddress, right: RouterAddress) -> Bool {
    (left.address, left.prefix.length) < (right.address, right.prefix.length)
  }

  /// The addresses of an IPv4 network that are nobody's: its number, and the one of all its hosts (RFC 1812 section 4.2.2.11). None in
  /// /31 (RFC 3021) and /32.
  var reserved: [IPAddress] {
    guard address.isIPv4, prefix.length < 31 else { return [] }
    return [prefix.address, IPAddress(ipv4: prefix.address.ipv4 | UInt32.max >> UInt32(prefix.length))]
  }
}

/// A logical router.
public struct RouterSettings: Equatable, Sendable {
  public var name: String
  /// Of all its interfaces, on every VTEP; nil: derived from the name.
  public var mac: MACAddress?
  /// By VNI.
  public var interfaces: [VNI: [RouterAddress]] = [:]
  /// Names of the access control lists of interfaces, by VNI. Ingress is from the VNI into the router.
  public var acls: [VNI: String] = [:]
  /// Static routes: the next hop of each prefix.
  public var routes: [IPPrefix: IPAddress] = [:]
  /// It belongs to the controller and not to the operator.
  public internal(set) var isControlled = false

  public init(name: String) {
    self.name = name
  }

  /// The MAC address in use.
  public var effectiveMAC: MACAddress { mac ?? Self.derivedMAC(name) }

  /// A locally administered address that is the same wherever a router has this name: 0e:76 and 32 bits of FNV-1a of the name.
  static func derivedMAC(_ name: String) -> MACAddress { MACAddress(bits: 0x0e76_0000_0000 | UInt64(hash(Array(name.utf8)))) }

  /// The MAC address from which a VTEP asks for its routers' neighbours, so that answers come back to it and not to the nearest router
  /// (`Arp_Sources_Local` in vtep(5)): 0e:77 and the VTEP's IPv4 address, or a hash of its IPv6 address.
  public static func requestMAC(of vtep: IPAddress) -> MACAddress {
    MACAddress(bits: 0x0e77_0000_0000 | UInt64(vtep.isIPv4 ? vtep.ipv4 : hash(vtep.bytes)))
  }

  private static func hash(_ octets: [UInt8]) -> UInt32 {
    octets.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }

  /// All addresses of the router, with their VNIs, in a stable order.
  var addresses: [(vni: VNI, address: RouterAddress)] {
    interfaces.sorted { $0.key < $1.key }.flatMap { vni, addresses in addresses.map { (vni, $0) } }
  }

  /// The VNI in which a next hop is a neighbour; static routes that lead to another next hop are followed (RFC 4271 section 5.1.3 calls
  /// that recursion). Nil: it is in none.
  func neighbor(on next: IPAddress, depth: Int = 0) -> (vni: VNI, address: IPAddress)? {
    let connected = addresses.filter { $0.address.prefix.contains(next) }.max { $0.address.prefix.length < $1.address.prefix.length }
    let route = routes.filter { $0.key.contains(next) }.max { $0.key.length < $1.key.length }
    if let connected, connected.address.prefix.length >= route?.key.length ?? 0 { return (connected.vni, next) }
    guard let route, depth < 8 else { return nil }
    return neighbor(on: route.value, depth: depth + 1)
  }
}
