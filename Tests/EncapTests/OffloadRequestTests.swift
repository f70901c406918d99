// Guests' offload requests: valid ones are understood, all others rejected without reading beyond the frame; and the headers of
// segments, octet by octet.
import Encap
import Testing

@Suite struct OffloadRequestTests {
  let buffer = GuardedBuffer()

  private func check(_ frame: [UInt8], byteCount: Int? = nil, segment: Int? = nil) -> OffloadRequest.Finding {
    let memory = buffer.load(frame)
    return OffloadRequest.check(
      frame: UnsafeRawBufferPointer(memory).bytes, byteCount: byteCount ?? frame.count, segmentByteCount: segment)
  }

  private func finish(_ frame: inout [UInt8], _ request: OffloadRequest) {
    let sum = InternetChecksum.partialSum(Array(frame[request.transportOffset...]).span.bytes)
    var array = frame.mutableSpan
    var span = array.mutableBytes
    request.finishChecksum(of: &span, sum: sum)
  }

  // -- segments -------------------------------------------------------------------------------------------------------

  @Test(arguments: goldenSegmentations)
  func largeSegmentIsUnderstood(_ golden: GoldenSegmentation) {
    let size = golden.request.segmentByteCount
    #expect(check(golden.large, segment: size) == .sound(golden.request, byteCount: golden.large.count))
    // Padding after the packet is not part of it.
    #expect(check(golden.large + [1, 2, 3], segment: size) == .sound(golden.request, byteCount: golden.large.count))
  }

  /// The frame continues in further buffers: the first must hold the headers, and no more.
  @Test(arguments: goldenSegmentations)
  func headersMustBeContiguous(_ golden: GoldenSegmentation) {
    let size = golden.request.segmentByteCount
    for count in 0..<golden.large.count {
      let finding = check(Array(golden.large[..<count]), byteCount: golden.large.count, segment: size)
      if count < golden.request.headerByteCount {
        #expect(finding == .refused(.offloadHeaders), "\(count) octets")
      } else {
        #expect(finding == .sound(golden.request, byteCount: golden.large.count), "\(count) octets")
      }
    }
  }

  @Test(arguments: goldenSegmentations)
  func truncatedFramesAreRefused(_ golden: GoldenSegmentation) {
    for count in 0..<golden.large.count {
      let frame = Array(golden.large[..<count])
      #expect(check(frame, segment: golden.request.segmentByteCount) == .refused(.offloadHeaders), "\(count) octets")
      #expect(check(frame) == .refused(.offloadHeaders), "\(count) octets")
    }
  }

  @Test(arguments: goldenSegmentations)
  func absurdSegmentSizesAreRefused(_ golden: GoldenSegmentation) {
    let limit = 65_535 - (golden.request.headerByteCount - golden.request.linkByteCount)
    for size in [0, -1, limit + 1, 65_536, .max / 2] {
      #expect(check(golden.large, segment: size) == .refused(.offloadSegmentSize), "\(size)")
    }
    // No longer than one segment: nothing to split.
    var whole = golden.request
    whole.segmentByteCount = 0
    let payload = golden.large.count - golden.request.headerByteCount
    for size in [payload, payload + 1, limit] {
      #expect(check(golden.large, segment: size) == .sound(whole, byteCount: golden.large.count), "\(size)")
    }
  }

  @Test func tooManySegmentsAreRefused() throws {
    var frame = try #require(goldenSegmentations.first).large
    frame.setBig16(52 + 64_000, at: 16)
    let head = Array(frame[..<66])
    #expect(check(head, byteCount: 66 + 64_000, segment: 62) == .refused(.offloadSegmentSize))
    guard case .sound(let request, _) = check(head, byteCount: 66 + 64_000, segment: 63) else {
      Issue.record("refused")
      return
    }
    #expect(request.segmentByteCount == 63)
  }

  @Test(arguments: goldenSegmentations)
  func segmentsAreCorrectToTheOctet(_ golden: GoldenSegmentation) throws {
    let request = golden.request
    let payload = Array(golden.large[request.headerByteCount...])
    var made: [[UInt8]] = []
    for (index, start) in stride(from: 0, to: payload.count, by: request.segmentByteCount).enumerated() {
      let part = payload[start..<min(start + request.segmentByteCount, payload.count)]
      var headers = Array(golden.large[..<request.headerByteCount])
      // Whatever the field holds: the large segment's sum is useless for its parts.
      headers.setBig16(0xa5a5, at: request.checksumOffset)
      var array = headers.mutableSpan
      var span = array.mutableBytes
      request.writeHeaders(
        into: &span, index: index, payloadByteCount: part.count, isLast: part.endIndex == payload.count)
      var frame = headers + part
      finish(&frame, request)
      made.append(frame)
    }
    #expect(made == golden.segments)
  }

  /// What an outer checksum needs to know of segments that do not exist yet.
  @Test(arguments: goldenSegmentations)
  func sumOfSegmentsToCome(_ golden: GoldenSegmentation) {
    let request = golden.request
    for segment in golden.segments where segment.count == request.headerByteCount + request.segmentByteCount {
      let sum = finishedSum(request, golden.large, byteCount: segment.count)
      let segmentSum = InternetChecksum.partialSum(segment.span.bytes)
      #expect(sum == UInt16(segmentSum) % 0xffff)
    }
  }

  // -- checksums ------------------------------------------------------------------------------------------------------

  @Test(arguments: goldenFrames)
  func sumOfFinishedFrame(_ golden: GoldenFrame) {
    var frame = golden.frame
    frame.setBig16(golden.unfinished, at: golden.fieldOffset)
    guard case .sound(let request, let byteCount) = check(frame) else {
      Issue.record("refused")
      return
    }
    let finishedSum = InternetChecksum.partialSum(Array(golden.frame[..<byteCount]).span.bytes)
    #expect(self.finishedSum(request, frame, byteCount: byteCount) == UInt16(finishedSum) % 0xffff)
  }

  /// Of the two ways to write zero, one.
  private func finishedSum(_ request: OffloadRequest, _ frame: [UInt8], byteCount: Int) -> UInt16 {
    InternetChecksum.fold(request.finishedSum(frame.span.bytes, byteCount: byteCount)) % 0xffff
  }

  @Test(arguments: goldenFrames)
  func unfinishedChecksumsAreUnderstoodAndFinished(_ golden: GoldenFrame) throws {
    var frame = golden.frame
    frame.setBig16(golden.unfinished, at: golden.fieldOffset)
    guard case .sound(let request, let byteCount) = check(frame) else {
      Issue.record("refused")
      return
    }
    #expect(byteCount == golden.ipEnd)
    #expect(request.transportOffset == golden.transportOffset && request.isUDP == golden.isUDP)
    #expect(request.checksumOffset == golden.fieldOffset && request.segmentByteCount == 0)
    frame.removeLast(frame.count - byteCount)
    finish(&frame, request)
    #expect(frame == Array(golden.frame[..<byteCount]))
    // UDP cannot be segmented.
    if golden.isUDP { #expect(check(golden.frame, segment: 8) == .refused(.offloadHeaders)) }
  }

  @Test(arguments: goldenFrames)
  func truncatedHeadersAreRefused(_ golden: GoldenFrame) {
    for count in 0..<golden.ipEnd {
      #expect(check(Array(golden.frame[..<count])) == .refused(.offloadHeaders), "\(count) octets")
    }
  }

  /// Everything that can be wrong in a request: offset and new value in a frame of TCP, or of UDP, over IPv4.
  @Test(arguments: [
    ("TCP over IPv4", 12, [UInt8(8), 6]), ("TCP over IPv4", 14, [0x44]), ("TCP over IPv4", 14, [0x4f]),
    ("TCP over IPv4", 14, [0x65]), ("TCP over IPv4", 16, [0xff, 0xff]), ("TCP over IPv4", 16, [0, 19]),
    ("TCP over IPv4", 16, [0, 39]), ("TCP over IPv4", 20, [0x20, 0]), ("TCP over IPv4", 20, [0, 1]),
    ("TCP over IPv4", 23, [1]), ("TCP over IPv4", 23, [132]), ("TCP over IPv4", 46, [0x40]), ("TCP over IPv4", 46, [0xf0]),
    ("UDP over IPv4", 38, [0, 7]), ("UDP over IPv4", 38, [0, 19]), ("UDP over IPv4", 38, [0xff, 0xff]),
    ("TCP over IPv6", 20, [44]), ("TCP over IPv6", 20, [58]), ("TCP over IPv6", 18, [0, 19]), ("TCP over IPv6", 18, [0xff, 0xff]),
  ])
  func wrongHeadersAreRefused(_ name: String, _ offset: Int, _ value: [UInt8]) throws {
    var frame = try #require(goldenFrames.first { $0.name == name }).frame
    frame.replaceSubrange(offset..<offset + value.count, with: value)
    #expect(check(frame) == .refused(.offloadHeaders))
    #expect(check(frame, segment: 100) == .refused(.offloadHeaders))
  }

  /// Any bytes, any size: nothing is read beyond the frame, and an accepted request lies within it.
  @Test func noiseIsHarmless() {
    var random = SeededGenerator(state: 3)
    for _ in 0..<20_000 {
      let golden = goldenSegmentations.randomElement(using: &random)!
      var frame = golden.large
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let limit = min(frame.count, 90)
        frame[Int.random(in: 0..<limit, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      frame.removeLast(Int.random(in: 0...frame.count, using: &random))
      let segment = Bool.random(using: &random) ? Int(UInt16.random(in: 0...UInt16.max, using: &random)) : nil
      if case .sound(let request, let byteCount) = check(frame, segment: segment) {
        #expect(byteCount <= frame.count && request.headerByteCount <= byteCount)
        #expect(request.segmentByteCount >= 0 && (segment != nil || request.segmentByteCount == 0))
      }
    }
  }
}
