// NextHopObject: a next hop, or a group of them, that routes refer to by ID (Linux 5.3). With net.ipv4.nexthop_compat_mode=0 a
// route contains no other information about its next hops.

import CMNL
import Encap
import Glibc

struct NextHopObject: Equatable {
  struct Member: Equatable {
    var id: UInt32
    /// Weight relative to the other members, at least 1.
    var weight: Int
  }

  enum Content: Equatable {
    case hop(NextHop)
    case group([Member])
    case blackhole
  }

  var content: Content

  /// Nil for other messages, and for FDB next hops, which no route uses.
  init?(_ message: NetlinkMessage) {
    guard message.type == Int(RTM_NEWNEXTHOP), let header = message.familyHeader(nhmsg.self) else { return nil }
    let attributes = message.attributes(after: nhmsg.self)
    if let group = attributes[Int(NHA_GROUP)]?.payload {
      content = .group(Self.members(group))
    } else if attributes[Int(NHA_BLACKHOLE)] != nil {
      content = .blackhole
    } else if let interfaceIndex = attributes[Int(NHA_OIF)]?.value(Int32.self) {
      content = .hop(
        NextHop(
          gateway: attributes[Int(NHA_GATEWAY)]?.address, interfaceIndex: interfaceIndex,
          isUsable: NextHop.isUsable(header.nh_flags)))
    } else {
      return nil
    }
  }

  /// A list of `struct nexthop_grp`: ID, weight minus one in two octets (the high one since Linux 6.12).
  private static func members(_ payload: UnsafeRawBufferPointer) -> [Member] {
    let size = MemoryLayout<nexthop_grp>.size
    return stride(from: 0, to: payload.count / size * size, by: size).map { offset in
      Member(
        id: payload.loadUnaligned(fromByteOffset: offset, as: UInt32.self),
        weight: (Int(payload[offset + 5]) << 8 | Int(payload[offset + 4])) + 1)
    }
  }
}

extension NetlinkMessage {
  /// ID of the next-hop object that a route uses.
  var nextHopObjectID: UInt32? { attributes(after: rtmsg.self)[RTA_NH_ID]?.value(UInt32.self) }
}

extension NetlinkSocket {
  /// An object's next hops; nil for a blackhole. Empty if it has just been deleted.
  func nextHops(ofObject id: UInt32) throws(NetlinkError) -> [NextHop]? {
    switch try nextHopObject(id)?.content {
    case .hop(let hop): return [hop]
    case .blackhole: return nil
    case .group(let members):
      var hops: [NextHop] = []
      // The members of a group are never groups themselves.
      for member in members {
        guard case .hop(var hop) = try nextHopObject(member.id)?.content else { continue }
        hop.weight = member.weight
        hops.append(hop)
      }
      return hops
    case nil: return []
    }
  }

  private func nextHopObject(_ id: UInt32) throws(NetlinkError) -> NextHopObject? {
    let request = NetlinkRequest(Int(RTM_GETNEXTHOP), flags: NLM_F_ACK, operation: "query next hop", subject: "\(id)")
    request.putFamilyHeader(nhmsg())
    request.put(Int(NHA_ID), id)
    var found: NextHopObject?
    do {
      try perform(request) { found = NextHopObject($0) ?? found }
    } catch  where error.code == ENOENT {
      return nil
    }
    return found
  }
}
