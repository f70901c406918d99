// Worker+AtOnce: steps E2 to E6 for the everyday frames with which a burst from a port begins, while the MAC table is small: nothing of a
// frame is staged but where it goes. A large table is not at hand, so that its buckets are fetched in a pass of their own (Worker+Access).
// Packets from tunnels: Worker+UnderlayBurst.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Forwards frames of the untagged binding as long as they are everyday ones: from a station to a station, each alone in a buffer of one
  /// shape. The table has no ghosts, and the port no checks. What has been forwarded leaves gaps if others follow.
  ///
  /// - Parameter shape: of a buffer with room for a header over IPv4.
  /// - Returns: the number of these frames, whose bytes are in `receivedBytes`.
  @inline(never)
  mutating func forwardAtOnce(_ count: Int, portIndex: PortIndex, domain: DomainIndex, shape: UInt64) -> Int {
    endLocalRuns()
    let offset = Int(cdpdk_shape_offset(shape))
    let burst = PortBurst(portIndex, domain: domain, offset: offset, snapshot, counters)
    let done = findDestinations(count, portIndex: portIndex, domain: domain, shape: shape)
    var destination = destinations
    nextFrame = frames
    let end = frames + done
    while nextFrame != end {
      let frame = nextFrame.pointee
      let place = destination.pointee
      nextFrame += 1
      destination += 1
      guard let raw = frame else { continue }
      let mbuf = Mbuf(raw)
      let start = cdpdk_mbuf_buffer(mbuf.raw) + offset
      let byteCount = Int(cdpdk_mbuf_segment_length(mbuf.raw))
      if !forward(mbuf, start: start, byteCount: byteCount, to: place, domain: domain, burst, isTagged: false) {
        let ethernet = WireEthernetHeader(unchecked: RawSpan(_unsafeStart: start, byteCount: byteCount), at: 0)
        stage.pointee.destinationKey = MACKey(domain: domain, octets: ethernet.destination)
        stage.pointee.seenAt = burst.place
        forwardUncommon(mbuf, stage, place, ingress: portIndex, isFromOverlay: false)
      }
    }
    settle(burst)
    if done != count { frames.update(repeating: nil, count: done) }
    return done
  }

  /// Steps E2 to E4, apart from what follows: little for each frame, so that the processor has several of them at work while it waits for
  /// their buckets.
  ///
  /// - Returns: the number of everyday frames; `destinations` has their places, `noLocation` for the unknown. Dropped frames leave gaps.
  @inline(never)
  private mutating func findDestinations(_ count: Int, portIndex: PortIndex, domain: DomainIndex, shape: UInt64) -> Int {
    let table = self.table
    let offset = Int(cdpdk_shape_offset(shape))
    let place = MACLocation.port(portIndex, vlan: 0)
    let sightings = self.sightings.at(place)
    let domainWord = UInt64(domain.rawValue)
    var next = frames
    var found = destinations
    let end = next + count
    while next != end {
      let mbuf = Mbuf(next.pointee.unsafelyUnwrapped)
      guard cdpdk_mbuf_is_of(mbuf.raw, shape, cdpdk_uncommon_flags()) != 0 else { break }
      let start = cdpdk_mbuf_buffer(mbuf.raw) + offset
      let byteCount = Int(cdpdk_mbuf_segment_length(mbuf.raw))
      guard byteCount >= InnerFlow.everydayByteCount else { break }
      let ethernet = WireEthernetHeader(unchecked: RawSpan(_unsafeStart: start, byteCount: byteCount), at: 0)
      guard ethernet.isEveryday else { break }
      next += 1
      receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
      let source = MACKey(domainWord: domainWord, octets: ethernet.source)
      let destination = MACKey(domainWord: domainWord, octets: ethernet.destination)
      if !sightings.pair(source).isPresent,
        !learnAtOnce(mbuf, source: source, destination: destination, seenAt: place, portIndex: portIndex, isFromOverlay: false)
      {
        next[-1] = nil
      }
      let entry = lookUp(destination, in: table.bucket(of: table.hash(destination)), table)
      found.pointee = entry.isHit ? entry.location : StagedFrame.noLocation
      found += 1
    }
    return next - frames
  }
}
