// Worker+Lists: frames to a multicast address that a controller has placed: to the local bindings, and to some of the
// domain's VTEPs instead of all of them (selective replication). Step E6. The MAC table has such an address
// behind an index that stands for a list of VTEPs and has no next hop of its own, so that nobody else pays for it. It is known:
// storm control leaves it alone.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// A frame from a port to an index without any next hop: a list, or a VTEP that no route leads to.
  @inline(never)
  mutating func sendWithoutRoute(_ mbuf: Mbuf, to entry: UnsafePointer<VTEPEntry>, domain: DomainIndex, ingress: PortIndex) {
    // It comes straight from the look-up: lists are never held, and what is in hand still stands in the burst.
    var position = 0
    while position < Limits.burst && frames[position] != mbuf.raw { position += 1 }
    guard entry.pointee.isList, position < Limits.burst else {
      drop(mbuf, port: ingress, entry.pointee.obstacle)
      return
    }
    let targets = snapshot.pointee.floodTargets + Int(entry.pointee.firstMember)
    flood(
      mbuf, domain: domain, ingress: stage[position].seenAt, targets: targets, remotes: Int(entry.pointee.memberCount), isLimited: false)
  }

  /// A frame from a tunnel that the table sends into one: to local bindings, if several are to have it.
  @inline(never)
  mutating func receiveForVTEP(_ mbuf: Mbuf, _ index: VTEPIndex, domain: DomainIndex, portIndex: PortIndex) {
    if snapshot.pointee.vteps[Int(index)].isList {
      floodFromUnderlay(mbuf, domain: domain, portIndex: portIndex, isLimited: false)
    } else {
      drop(mbuf, port: portIndex, .splitHorizon)
    }
  }
}
