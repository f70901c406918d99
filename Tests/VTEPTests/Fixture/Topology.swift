// The network of most tests: two uplinks, three guests' ports in VNI 5001, two VTEPs and a group.

import Encap
import MACTable

@testable import VTEP

/// Address family of the underlay.
enum Family: String, CaseIterable {
  case ipv4 = "IPv4"
  case ipv6 = "IPv6"
}

/// How the guests' ports are bound to the VNI.
enum Attachment: String, CaseIterable {
  case untagged, tagged

  /// VLAN of the binding; 0 = untagged.
  var vlan: UInt16 { self == .tagged ? 100 : 0 }
}

/// A port of the topology; the raw value is its index in a snapshot.
enum Place: PortIndex, CaseIterable {
  case uplink, secondUplink, vm1, vm2, vm3

  var isUplink: Bool { self == .uplink || self == .secondUplink }
}

enum Topology {
  static let vni = VNI(truncating: 5001)
  static let otherVNI = VNI(truncating: 0xfe_dcba)
  /// Indexes of the two domains.
  static let domain: DomainIndex = 0
  static let otherDomain: DomainIndex = 1

  // Guests: 1 to 3 behind the ports of that number, 21 behind VTEP `near`, 22 behind `far`. Others are unknown.
  static func guest(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | number) }

  /// VTEP indexes.
  static let near: VTEPIndex = 0
  static let far: VTEPIndex = 1
  static let group: VTEPIndex = 2

  static func ownAddress(_ family: Family) -> IPAddress { address(1, family) }
  static func vtepAddress(_ index: VTEPIndex, _ family: Family) -> IPAddress {
    index == group ? groupAddress(family) : address(UInt8(index.rawValue + 2), family)
  }
  static func groupAddress(_ family: Family) -> IPAddress {
    family == .ipv4 ? IPAddress(ipv4: 0xef81_0203) : IPAddress(high: 0xff05 << 48, low: 0x5001_0203)
  }
  static func address(_ host: UInt8, _ family: Family) -> IPAddress {
    family == .ipv4
      ? IPAddress(ipv4: 0xc000_0200 | UInt32(host)) : IPAddress(high: 0x2001_0db8_0000_0000, low: UInt64(host))
  }

  static let uplinkMAC = MACAddress(bits: 0x0200_0000_aa00)
  /// Next hop towards a VTEP.
  static func nextHop(_ index: VTEPIndex, _ family: Family) -> MACAddress {
    guard index == group else { return MACAddress(bits: 0x0200_0000_bb00 | UInt64(index.rawValue)) }
    // RFC 1112 section 6.4 (the low 23 bits), RFC 2464 section 7 (the low 32).
    return MACAddress(bits: family == .ipv4 ? 0x0100_5e01_0203 : 0x3333_5001_0203)
  }

  static let underlayMTU = 1600

  static func settings() -> UnderlaySettings {
    UnderlaySettings(addresses: Family.allCases.map(ownAddress), devices: ["test0"])
  }

  static func adjacency(
    _ vtep: VTEPIndex, _ family: Family, via place: Place = .uplink, isResolved: Bool = true, settings: UnderlaySettings = settings(),
    mtu: Int = underlayMTU
  ) -> Adjacency {
    let header = settings.header(
      to: vtepAddress(vtep, family), from: ownAddress(family), sourceMAC: uplinkMAC,
      nextHop: isResolved ? nextHop(vtep, family) : .zero)
    return Adjacency(
      header: header, port: place.rawValue, isResolved: isResolved,
      maxInnerByteCount: UInt32(mtu - (family == .ipv4 ? 36 : 56)))
  }

  /// Everything up, next hops resolved; floods go to the group.
  static func model(_ family: Family, _ attachment: Attachment, ports: [MemoryPort]) -> ForwardingModel {
    var model = ForwardingModel(receiveQueues: [[]], decapPolicy: DecapPolicy())
    model.ownIPv4 = ownAddress(.ipv4)
    model.ownIPv6 = ownAddress(.ipv6)
    var domain = ForwardingModel.Domain()
    domain.entry.vni = vni
    domain.entry.isInUse = true
    domain.flood = [group]
    for place in Place.allCases {
      let index = Int(place.rawValue)
      var port = PortEntry()
      FrameDevice.ethdev(ports[index].device).fill(&port)
      port.isUp = true
      port.isUnderlay = place.isUplink
      if !place.isUplink {
        port.maxFrameByteCount = 1514
        domain.locals.append(LocalTarget(port: place.rawValue, vlan: attachment.vlan))
        if attachment == .tagged {
          model.vlanMaps[index] = VLANMap([attachment.vlan: Self.domain])
          port.vlanDomains = model.vlanMaps[index]?.domains
        } else {
          port.untaggedDomain = Self.domain
        }
      }
      model.ports[index] = port
      model.receiveQueues[0].append(ReceiveQueue(port: place.rawValue, queue: 0))
    }
    var other = ForwardingModel.Domain()
    other.entry.vni = otherVNI
    other.entry.isInUse = true
    model.domains = [domain, other]
    model.vteps = [near, far, group].map { index in
      ForwardingModel.VTEP(
        entry: VTEPEntry(address: vtepAddress(index, family), isInUse: true, isGroup: index == group),
        adjacencies: [adjacency(index, family)])
    }
    return model
  }
}

extension PortFeatures {
  /// Of a guest that takes unfinished checksums and large TCP segments.
  static let takesAll: PortFeatures = [.takesUnfinished, .takesSegmentsIPv4, .takesSegmentsIPv6]
}
