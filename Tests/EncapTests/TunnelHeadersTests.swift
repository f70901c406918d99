// Requests of senders that say where their checksum is: segments inside tunnels of their own, UDP datagrams, and checksums that are not the
// outermost ones. Sound ones are understood and carried out octet by octet; all others are refused without reading beyond the frame.
import Encap
import Testing

@Suite struct TunnelHeadersTests {
  let buffer = GuardedBuffer()

  private func place(_ golden: GoldenSegmentation) -> UnfinishedChecksum.Place {
    UnfinishedChecksum.Place(start: golden.request.transportOffset, offset: golden.request.isUDP ? 6 : 16)
  }

  private func check(
    _ frame: [UInt8], byteCount: Int? = nil, segment: Int?, at place: UnfinishedChecksum.Place?
  ) -> OffloadRequest.Finding {
    OffloadRequest.check(
      frame: UnsafeRawBufferPointer(buffer.load(frame)).bytes, byteCount: byteCount ?? frame.count, segmentByteCount: segment,
      checksum: place)
  }

  /// The segment's headers in memory that ends behind them, then its payload.
  private func segment(_ large: [UInt8], _ request: OffloadRequest, index: Int) -> [UInt8] {
    let start = request.headerByteCount + index * request.segmentByteCount
    let payload = large[start..<min(start + request.segmentByteCount, large.count)]
    let headers = buffer.load(Array(large[..<request.headerByteCount]))
    var span = headers.mutableBytes
    request.writeHeaders(into: &span, index: index, payloadByteCount: payload.count, isLast: payload.endIndex == large.count)
    let covered = Array(headers[request.transportOffset...]) + payload
    let sum = InternetChecksum.partialSum(covered.span.bytes)
    request.finishChecksum(of: &span, sum: sum)
    return Array(headers) + payload
  }

  @Test(arguments: goldenTunnelSegmentations)
  func requestIsUnderstood(_ golden: GoldenSegmentation) {
    let expected = OffloadRequest.Finding.sound(golden.request, byteCount: golden.large.count)
    let size = golden.request.segmentByteCount
    #expect(check(golden.large, segment: size, at: place(golden)) == expected)
    #expect(check(golden.large + [1, 2, 3], segment: size, at: place(golden)) == expected)
    // A guest that does not say where the checksum is means something else.
    #expect(check(golden.large, segment: size, at: nil) == .refused(.offloadHeaders))
  }

  /// Where TCP is the outermost header, the request is the same as without a place.
  @Test(arguments: goldenSegmentations)
  func placeOfTheOutermostHeaderChangesNothing(_ golden: GoldenSegmentation) {
    let size = golden.request.segmentByteCount
    #expect(check(golden.large, segment: size, at: place(golden)) == .sound(golden.request, byteCount: golden.large.count))
    for distance in [-4, 4] {
      var wrong = place(golden)
      wrong.start += distance
      #expect(check(golden.large, segment: size, at: wrong) == .refused(.offloadHeaders))
      wrong = place(golden)
      wrong.offset += distance
      #expect(check(golden.large, segment: size, at: wrong) == .refused(.offloadHeaders))
    }
  }

  @Test(arguments: goldenTunnelSegmentations)
  func segmentsAreCorrectToTheOctet(_ golden: GoldenSegmentation) {
    #expect(golden.segments.indices.map { segment(golden.large, golden.request, index: $0) } == golden.segments)
  }

  @Test(arguments: goldenTunnelSegmentations)
  func headersMustBeContiguousAndWhole(_ golden: GoldenSegmentation) {
    let size = golden.request.segmentByteCount
    for count in 0..<golden.large.count {
      let frame = Array(golden.large[..<count])
      let finding = check(frame, byteCount: golden.large.count, segment: size, at: place(golden))
      if count < golden.request.headerByteCount {
        #expect(finding == .refused(.offloadHeaders), "\(count) octets")
      } else {
        #expect(finding == .sound(golden.request, byteCount: golden.large.count), "\(count) octets")
      }
      #expect(check(frame, segment: size, at: place(golden)) == .refused(.offloadHeaders), "\(count) octets")
    }
  }

  @Test(arguments: goldenTunnelSegmentations)
  func absurdSegmentSizesAreRefused(_ golden: GoldenSegmentation) {
    for size in [0, -1, 65_536, .max / 2] {
      #expect(check(golden.large, segment: size, at: place(golden)) == .refused(.offloadSegmentSize), "\(size)")
    }
    // One segment: only its checksum is missing.
    let payload = golden.large.count - golden.request.headerByteCount
    var whole = golden.request
    whole.segmentByteCount = 0
    #expect(
      check(golden.large, segment: payload, at: place(golden))
        == (golden.request.isTunnelled ? .elsewhere(place(golden)) : .sound(whole, byteCount: golden.large.count)))
  }

  /// All packets of a frame end together: every other length is refused, in whichever header it stands.
  /// Only MPLS has no second length: what follows its packet is padding.
  @Test(arguments: goldenTunnelSegmentations.filter { !$0.name.hasPrefix("MPLS") })
  func contradictingLengthsAreRefused(_ golden: GoldenSegmentation) {
    var lengths = 0
    for offset in 14..<golden.request.transportOffset - 1 {
      // A 16-bit field that the segments have with another value, and that is smaller by as much as is missing.
      let old = golden.large.big16(offset)
      let missing = UInt16(golden.large.count - golden.segments[0].count)
      guard golden.segments[0].big16(offset) == old &- missing else { continue }
      lengths += 1
      for distance in [UInt16(1), 2, 8, 0xffff, 0xfff8] {
        var frame = golden.large
        frame.setBig16(old &+ distance, at: offset)
        #expect(
          check(frame, segment: golden.request.segmentByteCount, at: place(golden)) == .refused(.offloadHeaders), "offset \(offset)")
      }
    }
    #expect(lengths > 0)
  }

  @Test(arguments: [
    // A fragment; another protocol; a sequence number and a reserved bit in GRE; no I flag; an unknown next protocol; a routing header.
    ("IPIP", 20, [UInt8(0x20)]), ("IPIP", 23, [50]), ("IPIP", 23, [6]), ("IPIP", 40, [0x20]), ("IPIP", 43, [1]),
    ("GRE with checksum and key, bridged TCP over IPv4", 34, [0xb0]), ("GRE with checksum and key, bridged TCP over IPv4", 35, [1]),
    ("GRE with checksum and key, bridged TCP over IPv4", 36, [8, 6]),
    ("VXLAN over IPv4 without checksum, TCP over IPv4", 42, [0]), ("VXLAN over IPv4 without checksum, TCP over IPv4", 42, [0x0c, 0, 0, 9]),
    ("Geneve with options over IPv4, TCP over IPv6", 46, [0x43]), ("Geneve with options over IPv4, TCP over IPv6", 46, [0x3f]),
    ("MPLS, TCP over IPv4", 20, [0x60]), ("IPv6 in IPv6 behind destination options", 20, [43]),
  ])
  func wrongHeadersAreRefused(_ name: String, _ offset: Int, _ value: [UInt8]) throws {
    let golden = try #require(goldenTunnelSegmentations.first { $0.name == name })
    var frame = golden.large
    #expect(Array(frame[offset..<offset + value.count]) != value)
    frame.replaceSubrange(offset..<offset + value.count, with: value)
    #expect(check(frame, segment: golden.request.segmentByteCount, at: place(golden)) == .refused(.offloadHeaders))
  }

  /// Any octets: nothing is read or written beyond the headers, and what is accepted gives segments of the same form.
  @Test func noiseIsHarmless() {
    var random = SeededGenerator(state: 5)
    var accepted = 0
    for _ in 0..<20_000 {
      let golden = goldenTunnelSegmentations.randomElement(using: &random)!
      var frame = golden.large
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        frame[Int.random(in: 0..<golden.request.headerByteCount, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) { frame.removeLast(Int.random(in: 0...frame.count, using: &random)) }
      var place = place(golden)
      if Int.random(in: 0..<8, using: &random) == 0 { place.start = Int(UInt8.random(in: 0...255, using: &random)) }
      let size = Int.random(in: 0..<100, using: &random)
      guard case .sound(let request, let byteCount) = check(frame, segment: size, at: place) else { continue }
      accepted += 1
      #expect(byteCount <= frame.count && request.headerByteCount <= byteCount && request.transportOffset == place.start)
      guard request.segmentByteCount > 0 else { continue }
      let piece = segment(Array(frame[..<byteCount]), request, index: 1)
      // It has a segment's length in every header, or it would not be sound.
      var again = request
      again.segmentByteCount = 1
      let isOneOctet = piece.count == request.headerByteCount + 1
      #expect(check(piece + [0], segment: 1, at: place) == .sound(again, byteCount: piece.count) || isOneOctet)
    }
    #expect(accepted > 2000)
  }

  // -- a checksum alone ------------------------------------------------------------------------------------------------

  /// What a tunnel carries has its checksum finished where the sender says it is; nothing else changes.
  @Test(arguments: goldenTunnelSegmentations)
  func checksumIsFinishedWhereItIs(_ golden: GoldenSegmentation) throws {
    let place = place(golden)
    for whole in golden.segments {
      var frame = whole
      // The pseudo-header's sum is whatever makes it right: the sum of the rest, complemented.
      var rest = Array(frame[place.start...])
      rest.setBig16(0, at: place.offset)
      frame.setBig16(UInt16((0xffff * 2 - Int(referenceSum(rest)) - Int(frame.big16(place.field))) % 0xffff), at: place.field)
      let finding = check(frame, segment: nil, at: place)
      if golden.request.isTunnelled { #expect(finding == .elsewhere(place)) } else { #expect(finding != .elsewhere(place)) }
      let covered = Array(frame[place.start...])
      let sum = InternetChecksum.partialSum(covered.span.bytes)
      let memory = buffer.load(frame)
      var span = memory.mutableBytes
      place.finish(&span, sum: sum)
      #expect(Array(memory) == whole)
    }
  }

  /// Only for UDP is a checksum of 0 written as 0xffff.
  @Test(arguments: [(offset: 6, checksum: 0xffff), (offset: 16, checksum: 0), (offset: 2, checksum: 0)])
  func checksumOfZero(_ expected: (offset: Int, checksum: UInt16)) {
    var frame = [UInt8](repeating: 0, count: 60)
    frame.setBig16(0x1234, at: 54)
    frame.setBig16(0xffff - 0x1234, at: 56)
    let memory = buffer.load(frame)
    var span = memory.mutableBytes
    UnfinishedChecksum.Place(start: 34, offset: expected.offset)
      .finish(&span, sum: InternetChecksum.partialSum(Array(frame[34...]).span.bytes))
    #expect(Array(memory).big16(34 + expected.offset) == expected.checksum)
  }

  @Test func placesBeyondTheFrameAreRefused() {
    let frame = [UInt8](repeating: 0, count: 60)
    for (start, offset) in [(0, 0), (13, 2), (59, 0), (58, 1), (60, 0), (61, 0), (100, 0), (14, 45), (52, 8), (20, 0x7fff), (0x1ffff, 0)] {
      let place = UnfinishedChecksum.Place(start: start, offset: offset)
      #expect(check(frame, segment: nil, at: place) == .refused(.offloadHeaders), "\(start) \(offset)")
      #expect(check(frame, segment: 8, at: place) == .refused(.offloadHeaders), "\(start) \(offset)")
    }
    for (start, offset) in [(14, 0), (58, 0), (14, 44), (14, 38), (48, 8)] {
      let place = UnfinishedChecksum.Place(start: start, offset: offset)
      #expect(check(frame, segment: nil, at: place) == .elsewhere(place), "\(start) \(offset)")
    }
  }
}
