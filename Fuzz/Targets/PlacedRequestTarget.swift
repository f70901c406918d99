// Requests whose sender says where the checksum is: segments of tunnels in frames, trains of datagrams, checksums anywhere. An accepted one
// fits the frame, and each segment is again a packet with headers that agree and checksums that are right.

import CDPDK

@testable import Encap
@testable import VTEP
@testable import VTEPTests

/// Two octets of `OffloadOptions` with the segment size, the checksum's start and offset in one octet each, and the frame, which ends where
/// nothing more can be read.
@Sendable func fuzzPlacedRequest(_ input: UnsafeMutableRawBufferPointer) throws {
  guard input.count >= 4 else { return }
  let segmentByteCount = input[0] & 0x80 != 0 ? Int(input[0] & 0x7f) << 8 | Int(input[1]) : nil
  let place = UnfinishedChecksum.Place(start: Int(input[2]), offset: Int(input[3]))
  let frame = UnsafeMutableRawBufferPointer(rebasing: input[4...])
  let finding = OffloadRequest.check(
    frame: UnsafeRawBufferPointer(frame).bytes, byteCount: frame.count, segmentByteCount: segmentByteCount, checksum: place)
  switch finding {
  case .refused: break
  case .elsewhere(let found):
    try require(found == place && place.start >= 14 && place.field + 2 <= frame.count, "\(place) in \(frame.count) octets")
    try checkFinished(Array(frame), at: place)
  case .sound(let request, let end):
    let isPlaced = request.transportOffset == place.start && request.checksumOffset == place.field
    try require(isPlaced && end <= frame.count && request.headerByteCount <= end, "\(request) at \(place) in \(frame.count) octets")
    try require(request.networkByteCount >= 20 && request.networkByteCount <= 511, "\(request)")
    if request.segmentByteCount != 0 {
      try checkCutting(Array(frame[..<end]), request)
    } else {
      try require(!request.isTunnelled, "\(request)")
    }
  }
}

/// Only the field changes, in a buffer that ends with it or continues in others.
private func checkFinished(_ frame: [UInt8], at place: UnfinishedChecksum.Place) throws {
  let pool = try TestRuntime.shared().runtime.pool
  let size = place.isCRC32c ? 4 : 2
  guard frame.count < 4096 else { return }
  let mbuf = Mbuf(MemoryPort.buffer(of: frame, segments: place.field + size < frame.count ? [place.field + size] : [], pool: pool))
  defer { mbuf.free() }
  mbuf.finishChecksum(at: place)
  let finished = MemoryPort.bytes(of: mbuf.raw)
  let field = place.field..<place.field + size
  try require(frame.indices.allSatisfy { finished[$0] == frame[$0] || field.contains($0) }, "other octets have changed")
}

private func checkCutting(_ frame: [UInt8], _ request: OffloadRequest) throws {
  let test = try TestRuntime.shared()
  let before = test.freeBufferCount
  guard frame.count < 4096 else { return }
  // The headers alone in the first buffer.
  let mbuf = Mbuf(MemoryPort.buffer(of: frame, segments: [request.headerByteCount], pool: test.runtime.pool))
  mbuf.request = request
  try require(mbuf.request == request && mbuf.wantsSegments, "kept as \(mbuf.request)")
  var segmenter = Segmenter(mbuf, pool: test.runtime.pool)
  var payload: [UInt8] = []
  while !segmenter.isAtEnd {
    guard let segment = segmenter.next() else { throw Finding(description: "no buffer") }
    let bytes = MemoryPort.bytes(of: segment.raw)
    segment.free()
    payload += bytes[request.headerByteCount...]
    try checkSegment(bytes, request)
  }
  mbuf.free()
  try require(payload == Array(frame[request.headerByteCount...]), "another payload")
  try require(test.freeBufferCount == before, "packet buffers leaked")
}

private func checkSegment(_ segment: [UInt8], _ request: OffloadRequest) throws {
  guard let headers = TunnelHeaders(segment.span.bytes, transport: request.transportOffset) else {
    throw Finding(description: "headers of a segment contradict each other: \(segment)")
  }
  let isSame = headers.end == segment.count && headers.isIPv6 == request.isIPv6 && headers.isUDP == request.isUDP
  try require(isSame, "a segment of \(segment.count) octets ends at \(headers.end)")
  let ip = headers.network
  let addresses = request.isIPv6 ? segment[ip + 8..<ip + 40] : segment[ip + 12..<ip + 20]
  let transport = segment[request.transportOffset...]
  let covered = addresses + [UInt8].big32(UInt32(transport.count)) + .big32(request.isUDP ? 17 : 6) + transport
  try require(Array(covered).internetChecksum % 0xffff == 0, "a segment has a wrong checksum")
}
