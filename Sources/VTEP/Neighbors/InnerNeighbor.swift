// InnerNeighbor: what the neighbour table says of one IP address in a bridge domain: the MAC address behind it, who says so, and whether
// all agree. ARP (RFC 826) and ND (RFC 4861) are answered from it, and routers find their next hops in it. (The underlay's neighbours are
// `Netlink.Neighbor`.)

import Encap
import MACTable

/// An IP address in a bridge domain.
struct InnerNeighborKey: Hashable, Sendable {
  var domain: DomainIndex
  var address: IPAddress
}

/// Who says which MAC address an IP address has.
struct NeighborSources: OptionSet, Hashable, Sendable {
  var rawValue: UInt8

  /// The operator's file or command.
  static let file = NeighborSources(rawValue: 1 << 0)
  /// The controller's database.
  static let controller = NeighborSources(rawValue: 1 << 1)
  /// ARP or ND of a station behind a local port.
  static let local = NeighborSources(rawValue: 1 << 2)
  /// ARP or ND of a station behind a VTEP.
  static let overlay = NeighborSources(rawValue: 1 << 3)

  static let learned: NeighborSources = [.local, .overlay]
}

/// An entry, as workers read it.
struct InnerNeighbor: Equatable, Sendable {
  /// That of the strongest source: file, controller, then what was learned last.
  var mac: MACAddress
  var sources: NeighborSources
  /// Sources differ, or the address was seen with another MAC address lately. Whether it is answered for nevertheless, `verdictOnNeighbor`
  /// decides.
  var isContested: Bool
  /// Contested by what the file and the controller state, whatever stations claim: never answered for.
  var isAmbiguous = false
  /// What its station has said that it is.
  var role = NeighborRole.unknown
  /// For `NeighborReader.touch`.
  fileprivate(set) var node: UInt32

  init(
    mac: MACAddress, sources: NeighborSources, isContested: Bool, isAmbiguous: Bool = false, role: NeighborRole = .unknown,
    node: UInt32 = NeighborReader.end
  ) {
    self.mac = mac
    self.sources = sources
    self.isContested = isContested
    self.isAmbiguous = isAmbiguous
    self.role = role
    self.node = node
  }

  /// Word 3 of a node: the MAC address, above it the sources, above them whether it is contested and ambiguous, and the role.
  init(word: UInt64, node: UInt32) {
    mac = MACAddress(bits: word)
    sources = NeighborSources(rawValue: UInt8(truncatingIfNeeded: word >> 48))
    isContested = word & 1 << 56 != 0
    isAmbiguous = word & 1 << 57 != 0
    role = NeighborRole(rawValue: UInt8(truncatingIfNeeded: word >> 58)) ?? .unknown
    self.node = node
  }

  var word: UInt64 {
    mac.bits | UInt64(sources.rawValue) << 48 | (isContested ? 1 << 56 : 0) | (isAmbiguous ? 1 << 57 : 0) | UInt64(role.rawValue) << 58
  }
}
