// Completing checksums that a veth sender left to hardware.
import Encap
import Testing

@Suite struct UnfinishedChecksumTests {
  let buffer = GuardedBuffer()

  private func unfinished(_ golden: GoldenFrame) -> [UInt8] {
    var frame = golden.frame
    frame.setBig16(golden.unfinished, at: golden.fieldOffset)
    return frame
  }

  @Test(arguments: goldenFrames)
  func unfinishedChecksumsAreCompleted(_ golden: GoldenFrame) {
    var frame = unfinished(golden)
    #expect(frame != golden.frame)
    #expect(buffer.finishChecksum(&frame) == .finished)
    #expect(frame == golden.frame)
  }

  @Test(arguments: goldenFrames)
  func correctChecksumsStay(_ golden: GoldenFrame) {
    var frame = golden.frame
    #expect(buffer.finishChecksum(&frame) == .complete)
    #expect(frame == golden.frame)
  }

  /// A guest's own mistake is not ours to repair.
  @Test(arguments: goldenFrames)
  func wrongChecksumsStayWrong(_ golden: GoldenFrame) {
    var frame = golden.frame
    frame.setBig16(golden.unfinished ^ 0x0100, at: golden.fieldOffset)
    let before = frame
    #expect(buffer.finishChecksum(&frame) == .complete && frame == before)
  }

  @Test(arguments: goldenFrames)
  func cutFramesAreTruncatedAndUntouched(_ golden: GoldenFrame) {
    let whole = unfinished(golden)
    // If a header is incomplete too, nothing is known about the frame.
    let header = golden.transportOffset
    for count in 0..<golden.ipEnd {
      var frame = Array(whole[..<count])
      let outcome = buffer.finishChecksum(&frame)
      #expect(outcome != .finished && frame == Array(whole[..<count]), "\(count) octets")
      if count >= header { #expect(outcome == .truncated, "\(count) octets") }
    }
  }

  @Test func largeFrameTruncatedByTheRing() throws {
    var frame = try #require(goldenFrames.first { $0.name == "UDP over IPv4, 1500 octets" }).frame
    frame.setBig16(48_000, at: 16)
    #expect(buffer.finishChecksum(&frame) == .truncated)
  }

  @Test func fragmentsAreComplete() throws {
    let golden = try #require(goldenFrames.first { $0.name == "UDP over IPv4" })
    for field in [UInt16(0x2000), 0x2004, 0x0004] {
      var frame = unfinished(golden)
      frame.setBig16(field, at: 20)
      #expect(buffer.finishChecksum(&frame) == .complete)
    }
    var dontFragment = unfinished(golden)
    dontFragment.setBig16(0x4000, at: 20)
    #expect(buffer.finishChecksum(&dontFragment) == .finished)
  }

  @Test func otherFramesAreComplete() throws {
    let golden = try #require(goldenFrames.first { $0.name == "UDP over IPv4" })
    // ICMP, no checksum, UDP length beyond the packet, header length below five words, ARP.
    let changes: [(offset: Int, value: [UInt8])] = [
      (23, [1]), (40, [0, 0]), (38, [0xff, 0xff]), (38, [0, 7]), (14, [0x44]), (12, [8, 6]), (14, [0x65]),
    ]
    for change in changes {
      var frame = unfinished(golden)
      frame.replaceSubrange(change.offset..<change.offset + change.value.count, with: change.value)
      #expect(buffer.finishChecksum(&frame) == .complete, "\(change)")
    }
  }

  /// A false UDP length must not lead beyond the packet, even if the checksum field fits it.
  @Test(arguments: [UInt16(7), 0, 21, 4_000])
  func udpLengthThatContradictsIP(_ length: UInt16) throws {
    let golden = try #require(goldenFrames.first { $0.name == "UDP over IPv4" })
    var frame = golden.frame
    frame.setBig16(length, at: 38)
    frame.setBig16(referenceSum(Array(frame[26..<34]) + [0, 17, UInt8(length >> 8), UInt8(length & 0xff)]), at: 40)
    let before = frame
    #expect(buffer.finishChecksum(&frame) == .complete && frame == before)
  }

  /// After a routing header the checksum covers another destination, so the field cannot be recognised.
  @Test func routingHeaderIsLeftAlone() throws {
    let golden = try #require(goldenFrames.first { $0.name == "UDP behind a hop-by-hop header" })
    var frame = unfinished(golden)
    frame[20] = 43
    #expect(buffer.finishChecksum(&frame) == .complete)
  }

  @Test func computedZeroOfUDPIsSentAsAllOnes() throws {
    let golden = try #require(goldenFrames.first { $0.name == "UDP over IPv4" })
    var frame = unfinished(golden)
    // Replace the first payload word so that the whole sum becomes all ones.
    frame.setBig16(0, at: 42)
    let pseudoAndSegment = Array(frame[34..<golden.ipEnd])
    frame.setBig16(0xffff - referenceSum(pseudoAndSegment), at: 42)
    #expect(buffer.finishChecksum(&frame) == .finished && frame.big16(golden.fieldOffset) == 0xffff)
  }
}
