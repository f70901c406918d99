// Worker+TooBig: a frame that exceeds the MTU of the path to its VTEP, in step E5: dropped, and its sender told what fits, as a router
// would (PacketTooBig, docs/decisions/0029). Out of line: only what is dropped comes here.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Consumes the frame. A large segment is refused whole, as the kernel does, if one of its size does not fit.
  @inline(never)
  mutating func refuseTooBig(_ mbuf: Mbuf, _ tunnel: Tunnel, ingress: PortIndex) {
    if snapshot.pointee.tooBigReplies.isSet { replyTooBig(mbuf, tunnel, ingress: ingress) }
    drop(mbuf, port: ingress, .tooBigForUnderlay, DropContext(domain: tunnel.domain, vtep: tunnel.vtep))
  }

  private mutating func replyTooBig(_ mbuf: Mbuf, _ tunnel: Tunnel, ingress: PortIndex) {
    // What would have been on the wire is quoted: the first of the segments, with its checksum.
    if mbuf.hasRequest, mbuf.wantsSegments {
      var segmenter = Segmenter(mbuf, pool: pool)
      guard let first = segmenter.next() else { return }
      reply(to: first.bytes, tunnel, ingress: ingress)
      first.free()
    } else {
      reply(to: mbuf.bytes, tunnel, ingress: ingress)
    }
  }

  /// Sends the ICMP error out of the port and in the VLAN that the frame came from.
  private mutating func reply(to frame: RawSpan, _ tunnel: Tunnel, ingress: PortIndex) {
    guard
      let answer = PacketTooBig(answering: frame, largestFrameByteCount: Int(tunnel.adjacency.pointee.maxInnerByteCount)),
      let place = returnPlace(to: MACAddress(loading: frame, at: 6), domain: tunnel.domain, ingress: ingress),
      mayReplyTooBig(port: ingress), let raw = cdpdk_mbuf_alloc(pool)
    else { return }
    let mbuf = Mbuf(raw)
    guard cdpdk_mbuf_append(raw, UInt16(truncatingIfNeeded: answer.frameByteCount)) != nil else {
      mbuf.free()
      return
    }
    mbuf.withMutableBytes { answer.write(into: &$0, quoting: frame) }
    deliver(mbuf, to: place, ingress: ingress)
  }

  /// The binding that a station's frame has just come in by. Where the station is not known there (it is to be learned nowhere), the port's
  /// only binding to the VNI.
  private mutating func returnPlace(to station: MACAddress, domain: DomainIndex, ingress: PortIndex) -> LocalTarget? {
    let key = MACKey(domain: domain, mac: station)
    let hash = table.hash(key)
    let found = table.lookup(key, hash: hash)
    let seen = found.isHit ? found.location : pendingPlace(of: key, hash: hash)
    if !seen.isVTEP, seen.port == ingress { return LocalTarget(port: ingress, vlan: seen.vlan) }
    let entry = snapshot.pointee.domains + Int(domain)
    let locals = snapshot.pointee.localTargets + Int(entry.pointee.firstLocal)
    var place: LocalTarget?
    for index in 0..<Int(entry.pointee.localCount) where locals[index].port == ingress {
      guard place == nil else { return nil }
      place = locals[index]
    }
    return place
  }

  /// Takes a token of the port's, which its workers share.
  private mutating func mayReplyTooBig(port: PortIndex) -> Bool {
    let state = shared.pointee.policyStates + Int(port)
    lock(state)
    let isAdmitted = snapshot.pointee.tooBigReplies.admits(1, &state.pointee.tooBigReplies, now: state.pointee.latestCycles)
    cdpdk_spin_unlock(&state.pointee.lock)
    return isAdmitted
  }
}
