// Worker+AtOnce: steps E2 to E6 for the everyday frames with which a burst from a port begins, while the MAC table is small: nothing of a
// frame is kept between two passes but the bucket of its destination. With a large table more is (Worker+Access).
// Packets from tunnels: Worker+UnderlayBurst.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Forwards frames of the untagged binding as long as they are everyday ones: from a station to a station, each alone in a buffer of one
  /// shape. The table has no ghosts, and the port no checks. What has been forwarded leaves gaps if others follow.
  ///
  /// - Parameters:
  ///   - count: of the burst. Frames that are dropped are taken out of it.
  ///   - shape: of a buffer with room for a header over IPv4.
  /// - Returns: the number of these frames, whose bytes are in `receivedBytes`.
  @inline(never)
  mutating func forwardAtOnce(_ count: inout Int, portIndex: PortIndex, domain: DomainIndex, shape: UInt64) -> Int {
    endLocalRuns()
    let offset = Int(cdpdk_shape_offset(shape))
    let burst = PortBurst(portIndex, domain: domain, offset: offset, snapshot, counters)
    let done = fetchDestinations(&count, portIndex: portIndex, domain: domain, shape: shape)
    // All, but for those that are taken back: a frame into a tunnel has nothing to count.
    tunnelledFrames = UInt64(truncatingIfNeeded: done)
    tunnelledBytes &+= receivedBytes
    let table = self.table
    let domainWord = UInt64(domain.rawValue)
    var next = frames
    let end = next + done
    while next != end {
      let mbuf = Mbuf(next.pointee.unsafelyUnwrapped)
      let bucket = Self.bucket(at: next).pointee
      next += 1
      let start = cdpdk_mbuf_buffer(mbuf.raw) + offset
      let byteCount = Int(cdpdk_mbuf_segment_length(mbuf.raw))
      let destination = MACKey(
        domainWord: domainWord, octets: WireEthernetHeader.destination(RawSpan(_unsafeStart: start, byteCount: byteCount), at: 0))
      let place = lookUp(destination, in: bucket, table).place
      switch forward(mbuf, start: start, byteCount: byteCount, to: place, domain: domain, burst, isTagged: false) {
      case .tunnelled: break
      case .sent: takeBack(byteCount)
      case .uncommon:
        takeBack(byteCount)
        stage.pointee.destinationKey = destination
        stage.pointee.seenAt = burst.place
        forwardUncommon(mbuf, stage, place, ingress: portIndex, isFromOverlay: false)
      }
    }
    settle(burst)
    if done != count { frames.update(repeating: nil, count: done) }
    return done
  }

  /// A frame is none of those into tunnels that the domain counts at the end of the burst.
  @inline(always)
  private mutating func takeBack(_ byteCount: Int) {
    tunnelledFrames &-= 1
    tunnelledBytes &-= UInt64(truncatingIfNeeded: byteCount)
  }

  /// Steps E2 and E3: the bucket of each frame's destination is on its way while those of the others are worked out. Also a bucket of a
  /// small table is rarely in the nearest cache.
  ///
  /// - Returns: the number of everyday frames, whose destinations' buckets are behind them.
  @inline(never)
  private mutating func fetchDestinations(_ count: inout Int, portIndex: PortIndex, domain: DomainIndex, shape: UInt64) -> Int {
    let table = self.table
    let offset = Int(cdpdk_shape_offset(shape))
    let place = MACLocation.port(portIndex, vlan: 0)
    let sightings = self.sightings.at(place)
    let domainWord = UInt64(domain.rawValue)
    var next = frames
    var end = next + count
    while next != end {
      let mbuf = Mbuf(next.pointee.unsafelyUnwrapped)
      guard cdpdk_mbuf_is_of(mbuf.raw, shape, cdpdk_uncommon_flags()) != 0 else { break }
      let start = cdpdk_mbuf_buffer(mbuf.raw) + offset
      let byteCount = Int(cdpdk_mbuf_segment_length(mbuf.raw))
      guard byteCount >= InnerFlow.everydayByteCount else { break }
      let ethernet = WireEthernetHeader(unchecked: RawSpan(_unsafeStart: start, byteCount: byteCount), at: 0)
      guard ethernet.isEverydayIfFromStation else { break }
      let source = MACKey(domainWord: domainWord, octets: ethernet.source)
      let destination = MACKey(domainWord: domainWord, octets: ethernet.destination)
      if !sightings.pair(source).isPresent {
        guard source.raw != domainWord else { break }
        if !learnAtOnce(mbuf, source: source, destination: destination, seenAt: place, portIndex: portIndex, isFromOverlay: false) {
          receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
          tunnelledBytes &-= UInt64(truncatingIfNeeded: byteCount)
          end -= 1
          next.update(from: next + 1, count: end - next)
          continue
        }
      }
      receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
      let bucket = table.bucket(of: table.hash(destination))
      cdpdk_prefetch(bucket.address)
      Self.bucket(at: next).pointee = bucket
      next += 1
    }
    count = end - frames
    return next - frames
  }
}
