// Worker+AtOnce: steps E2 to E6 in one pass, for the everyday frames with which a burst from a port begins, while the MAC table is small. A
// large one is not at hand, so that its buckets are fetched in a pass of their own (Worker+Access). Packets from tunnels:
// Worker+UnderlayBurst.

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
    let table = self.table
    let offset = Int(cdpdk_shape_offset(shape))
    let burst = PortBurst(portIndex, domain: domain, offset: offset, snapshot, counters)
    let place = burst.place
    let sightings = self.sightings.at(place)
    let domainWord = UInt64(domain.rawValue)
    nextFrame = frames
    let end = frames + count
    while nextFrame != end {
      let mbuf = Mbuf(nextFrame.pointee.unsafelyUnwrapped)
      nextFrame += 1
      everyday: do {
        guard cdpdk_mbuf_is_of(mbuf.raw, shape, cdpdk_uncommon_flags()) != 0 else { break everyday }
        let start = cdpdk_mbuf_buffer(mbuf.raw) + offset
        let byteCount = Int(cdpdk_mbuf_segment_length(mbuf.raw))
        guard byteCount >= InnerFlow.everydayByteCount else { break everyday }
        let ethernet = WireEthernetHeader(unchecked: RawSpan(_unsafeStart: start, byteCount: byteCount), at: 0)
        guard ethernet.isEveryday else { break everyday }
        receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
        let source = MACKey(domainWord: domainWord, octets: ethernet.source)
        let destination = MACKey(domainWord: domainWord, octets: ethernet.destination)
        if !sightings.pair(source).isPresent,
          !learnAtOnce(mbuf, source: source, destination: destination, seenAt: place, portIndex: portIndex, isFromOverlay: false)
        {
          continue
        }
        let found = lookUp(destination, in: table.bucket(of: table.hash(destination)), table)
        forward(mbuf, start: start, byteCount: byteCount, to: found, destination, from: place, burst, staged: nil, isTagged: false)
        continue
      }
      nextFrame -= 1
      break
    }
    settle(burst)
    let done = nextFrame - frames
    if done != count { frames.update(repeating: nil, count: done) }
    return done
  }
}
