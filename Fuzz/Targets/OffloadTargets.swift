// A guest's offload requests: an accepted request fits the frame, and the segments made from a large one are what its sender would
// have sent. Split, tunnelled and joined again, they are the same.

import CDPDK
import Encap

@testable import VTEP
@testable import VTEPTests

/// The first three octets of an input.
struct OffloadOptions {
  static let byteCount = 3
  /// In front of captured packets: only a checksum; segments of no, few, many and too many octets; truncated headers.
  static let samples: [[UInt8]] = [
    [0, 0, 0], [0x80, 0, 0], [0x80, 64, 0], [0x85, 0xb4, 0], [0x83, 0xe9, 17], [0xff, 0xff, 0], [0, 0, 3],
  ]

  /// Nil: only a checksum is missing. 15 bits.
  var segmentByteCount: Int?
  /// Octets in the first buffer; nil: all.
  var firstByteCount: Int?

  init?(_ input: UnsafeMutableRawBufferPointer) {
    guard input.count >= Self.byteCount else { return nil }
    if input[0] & 0x80 != 0 { segmentByteCount = Int(input[0] & 0x7f) << 8 | Int(input[1]) }
    if input[2] != 0 { firstByteCount = Int(input[2]) * 4 }
  }
}

/// A frame of any length with a request, and the verdict.
private func check(_ input: UnsafeMutableRawBufferPointer, _ options: OffloadOptions) -> OffloadRequest.Finding {
  let frame = UnsafeMutableRawBufferPointer(rebasing: input[OffloadOptions.byteCount...])
  let first = min(options.firstByteCount ?? frame.count, frame.count)
  // The contiguous part ends where nothing more can be read.
  let part = UnsafeMutableRawBufferPointer(rebasing: input[(input.count - first)...])
  if first < frame.count { part.copyBytes(from: Array(frame[..<first])) }
  return OffloadRequest.check(
    frame: UnsafeRawBufferPointer(part).bytes, byteCount: frame.count, segmentByteCount: options.segmentByteCount)
}

@Sendable func fuzzOffloadRequest(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let options = OffloadOptions(input) else { return }
  let frame = Array(input[OffloadOptions.byteCount...])
  guard case .sound(let request, let end) = check(input, options) else { return }
  let first = min(options.firstByteCount ?? frame.count, frame.count)
  let fits = end <= frame.count && request.headerByteCount <= min(first, end)
  try require(fits, "\(request) in \(first) of \(frame.count) octets, end \(end)")
  try require([14, 18, 22].contains(request.linkByteCount), "\(request)")
  try require(request.networkByteCount >= (request.isIPv6 ? 40 : 20) && request.networkByteCount <= 511, "\(request)")
  try require(request.isUDP ? request.transportByteCount == 8 : (20...60).contains(request.transportByteCount), "\(request)")
  try require(request.checksumOffset + 2 <= request.headerByteCount, "\(request)")
  let payload = end - request.headerByteCount
  if request.segmentByteCount != 0 {
    try require(!request.isUDP && options.segmentByteCount == request.segmentByteCount && payload > request.segmentByteCount, "\(request)")
    let count = (payload + request.segmentByteCount - 1) / request.segmentByteCount
    try require(count <= OffloadRequest.segmentLimit, "\(count) segments")
  }
}

@Sendable func fuzzSegmenter(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let options = OffloadOptions(input) else { return }
  let whole = Array(input[OffloadOptions.byteCount...])
  guard case .sound(let request, let end) = check(input, options) else { return }
  let frame = Array(whole[..<end])
  let test = try TestRuntime.shared()
  let before = test.freeBufferCount
  // Parts of an odd size, so that sums begin at odd offsets.
  let first = options.firstByteCount.map { [max($0, request.headerByteCount)] } ?? []
  let rest = max(frame.count - (first.first ?? 0), 0)
  let sizes = (first + Array(repeating: 1021, count: rest / 1021)).reduce(into: [Int]()) { sizes, size in
    if sizes.reduce(0, +) + size < frame.count { sizes.append(size) }
  }
  let mbuf = Mbuf(MemoryPort.buffer(of: frame, segments: sizes, pool: test.runtime.pool))
  mbuf.request = request
  let isKept = mbuf.hasRequest && mbuf.request == request && mbuf.wantsSegments == (request.segmentByteCount != 0)
  try require(isKept, "kept as \(mbuf.request)")
  if request.segmentByteCount == 0 {
    try checkFinished(mbuf, request, frame, test.runtime.pool)
  } else {
    let segments = try cut(mbuf, test.runtime.pool)
    mbuf.free()
    try checkSegments(segments, of: frame, request)
    try checkJoining(segments, request)
  }
  try require(test.freeBufferCount == before, "packet buffers leaked")
}

/// Splits a packet, which stays the caller's.
private func cut(_ mbuf: Mbuf, _ pool: OpaquePointer) throws -> [[UInt8]] {
  var segmenter = Segmenter(mbuf, pool: pool)
  var segments: [[UInt8]] = []
  while !segmenter.isAtEnd {
    guard let segment = segmenter.next() else { throw Finding(description: "no segment after \(segments.count)") }
    segments.append(MemoryPort.bytes(of: segment.raw))
    segment.free()
  }
  return segments
}

/// The octets covered by the checksum of a TCP segment or UDP datagram, whose field is set to 0.
private func sum(_ frame: [UInt8], _ request: OffloadRequest) -> UInt16 {
  let ip = request.linkByteCount
  let addresses = request.isIPv6 ? frame[ip + 8..<ip + 40] : frame[ip + 12..<ip + 20]
  let transport = frame[request.transportOffset...]
  return (addresses + [UInt8].big32(UInt32(transport.count)) + .big32(request.isUDP ? 17 : 6) + transport).internetChecksum
}

private func checkFinished(_ mbuf: Mbuf, _ request: OffloadRequest, _ frame: [UInt8], _ pool: OpaquePointer) throws {
  guard let finished = mbuf.finishingChecksum(pool: pool) else { throw Finding(description: "no buffer") }
  let bytes = MemoryPort.bytes(of: finished.raw)
  try require(!finished.hasRequest, "something is left to do")
  finished.free()
  let field = request.checksumOffset..<request.checksumOffset + 2
  let isKept = bytes.count == frame.count && bytes.indices.allSatisfy { bytes[$0] == frame[$0] || field.contains($0) }
  try require(isKept, "other octets have changed")
  var pseudo = frame
  pseudo.replaceSubrange(field, with: [0, 0])
  pseudo.replaceSubrange(request.transportOffset..., with: [UInt8](repeating: 0, count: frame.count - request.transportOffset))
  // Without octets after the pseudo-header, its sum is what the sender had to leave.
  let expected = ~sum(pseudo, request)
  if frame.big16(at: field.lowerBound) == expected { try require(sum(bytes, request) % 0xffff == 0, "the checksum is wrong") }
}

private func checkSegments(_ segments: [[UInt8]], of frame: [UInt8], _ request: OffloadRequest) throws {
  let header = request.headerByteCount
  let payload = frame.count - header
  let size = request.segmentByteCount
  try require(segments.count == (payload + size - 1) / size, "\(segments.count) segments of \(payload) octets")
  let ip = request.linkByteCount
  let tcp = request.transportOffset
  let networkFields = request.isIPv6 ? [4, 5] : [2, 3, 4, 5, 10, 11]
  let changing = Set(networkFields.map { ip + $0 } + [4, 5, 6, 7, 13, 16, 17].map { tcp + $0 })
  for (index, segment) in segments.enumerated() {
    let isLast = index == segments.count - 1
    let count = isLast ? payload - index * size : size
    try require(segment.count == header + count, "segment \(index) has \(segment.count) octets")
    try require(segment[header...] == frame[header + index * size..<header + index * size + count], "segment \(index) has another payload")
    try require((0..<header).allSatisfy { segment[$0] == frame[$0] || changing.contains($0) }, "segment \(index) has another header")
    if request.isIPv6 {
      try require(Int(segment.big16(at: ip + 4)) == segment.count - ip - 40, "segment \(index) has another payload length")
    } else {
      try require(Int(segment.big16(at: ip + 2)) == segment.count - ip, "segment \(index) has another total length")
      try require(segment.big16(at: ip + 4) == frame.big16(at: ip + 4) &+ UInt16(index), "segment \(index) has another identification")
      try require(Array(segment[ip..<tcp]).internetChecksum % 0xffff == 0, "segment \(index) has a wrong IPv4 checksum")
    }
    func sequence(_ bytes: [UInt8]) -> UInt32 { UInt32(bytes.big16(at: tcp + 4)) << 16 | UInt32(bytes.big16(at: tcp + 6)) }
    try require(sequence(segment) == sequence(frame) &+ UInt32(index * size), "segment \(index) has another sequence number")
    // FIN and PSH on the last segment, CWR on the first.
    let flags = frame[tcp + 13] & (isLast ? 0xff : 0xf6) & (index == 0 ? 0xff : 0x7f)
    try require(segment[tcp + 13] == flags, "segment \(index) has flags \(segment[tcp + 13])")
    try require(sum(segment, request) % 0xffff == 0, "segment \(index) has a wrong TCP checksum")
  }
}

/// Tunnelled segments for a guest that accepts large ones: splitting what it receives gives what was sent.
private func checkJoining(_ segments: [[UInt8]], _ request: OffloadRequest) throws {
  guard request.linkByteCount == 14, segments.count <= 48, segments[0].count <= 1514 else { return }
  let plane = try joining.get()
  let sent = segments.map { .octets(Topology.guest(2)) + .octets(Topology.guest(21)) + $0[12...] } as [[UInt8]]
  plane.base = CounterValues(plane.test.counters[0])
  for segment in sent { plane.send(plane.packet(carrying: segment)) }
  plane.run()
  _ = Sighting.takeAll(plane.test.learnRings[0])
  var received: [[UInt8]] = []
  for buffer in plane.takeBuffers(.vm2) {
    let mbuf = Mbuf(buffer)
    if mbuf.hasRequest { try require(mbuf.wantsSegments, "joined, and no large segment") }
    received += mbuf.hasRequest ? try cut(mbuf, plane.test.runtime.pool) : [MemoryPort.bytes(of: buffer)]
    mbuf.free()
  }
  try require(received == sent, "\(sent.count) segments came as \(received.count), drops \(plane.deltas.drops)")
}

private nonisolated(unsafe) let joining = Result {
  let plane = try DataplaneFixture(.ipv4, .untagged, TestRuntime.shared(), shared: TestRuntime.sharedState())
  plane.changePort(.vm2) { $0.features = [.takesUnfinished, .takesSegmentsIPv4, .takesSegmentsIPv6] }
  return plane
}
