// Decapsulation: the short and the general path agree, an accepted packet's contents lie within it, and writing and reading them
// again gives the same.

@testable import Encap
@testable import VTEPTests

/// The verdict on a packet.
private struct Verdict: Equatable {
  var reason: DropReason?
  var innerOffset = 0
  var innerByteCount = 0
  var vni = VNI(truncating: 0)
  var source = IPAddress(high: 0, low: 0)
  var destination = IPAddress(high: 0, low: 0)
  var trafficClass: UInt8 = 0

  /// Nil if the packet is not VXLAN.
  init?(_ packet: OuterPacket) {
    switch packet.outcome {
    case .notVXLAN: return nil
    case .dropped: reason = packet.reason
    case .accepted:
      innerOffset = packet.innerOffset
      innerByteCount = packet.innerByteCount
      vni = packet.vni
      source = packet.source
      destination = packet.destination
      trafficClass = packet.trafficClass
    }
  }
}

@Sendable func fuzzOuterPacket(_ input: UnsafeMutableRawBufferPointer) throws {
  let packet = UnsafeRawBufferPointer(input).bytes
  for acceptsZero in [false, true] {
    let policy = DecapPolicy(acceptsZeroUDP6Checksum: acceptsZero)
    let outer = OuterPacket(parsing: packet, policy: policy)
    let verdict = Verdict(outer)
    try require(verdict == Verdict(OuterPacket.general(packet, policy: policy)), "short cut and long way differ: \(outer)")
    if let plain = PlainOuterIPv4(packet, udpPort: policy.udpPort), outer.reason != .outerSourceInvalid {
      try require(outer.outcome == .accepted && outer.innerOffset == PlainOuterIPv4.byteCount, "plain, and yet \(outer)")
      try require(
        outer.source == IPAddress(ipv4: UInt32(bigEndian: plain.wireSource)) && outer.vni == plain.vni
          && outer.innerByteCount == plain.innerByteCount && outer.trafficClass == plain.trafficClass, "\(plain) differs from \(outer)")
    }
    let trusted = OuterPacket(trusting: packet, byteCount: packet.byteCount, policy: policy)
    try require(
      outer.outcome == .dropped && outer.reason == .udpChecksum || Verdict(trusted) == verdict, "\(trusted) trusted, but \(outer)")
    switch outer.outcome {
    case .notVXLAN: _ = IgnoredCause(packet)
    case .dropped: try require(!outer.reason.name.isEmpty && !outer.reason.description.isEmpty, "\(outer.reason) without words")
    case .accepted: try checkAccepted(outer, Array(input))
    }
  }
}

private func checkAccepted(_ outer: OuterPacket, _ packet: [UInt8]) throws {
  try require(outer.innerOffset >= 50 && outer.innerByteCount >= 14, "\(outer)")
  let end = outer.innerOffset + outer.innerByteCount
  try require(end <= packet.count, "the inner frame ends at \(end) of \(packet.count)")
  let vxlan = outer.innerOffset - 8
  try require(packet[vxlan] & 8 != 0 && packet.big16(at: vxlan - 6) == 4789, "no VXLAN: \(outer)")
  try require(packet[vxlan + 4..<vxlan + 7].reduce(0) { $0 << 8 | UInt32($1) } == outer.vni.rawValue, "another VNI: \(outer)")

  let inner = Array(packet[outer.innerOffset..<end])
  for computesChecksum in [false, true] {
    let header = OuterHeader(
      source: outer.source, destination: outer.destination, sourceMAC: MACAddress(bits: 1), destinationMAC: MACAddress(bits: 2),
      udpPort: 4789, ttl: 64, dscp: outer.trafficClass >> 2, computesUDPChecksum: computesChecksum)
    var written = [UInt8](repeating: 0xa5, count: header.byteCount) + inner
    let flow = InnerFlow(frame: inner.span.bytes)
    let innerSum = InternetChecksum.partialSum(inner.span.bytes)
    written.withUnsafeMutableBytes {
      var span = UnsafeMutableRawBufferPointer(rebasing: $0[..<header.byteCount]).mutableBytes
      header.write(into: &span, innerByteCount: inner.count, innerSum: innerSum, vni: outer.vni, flow: flow)
    }
    let again = OuterPacket(parsing: written.span.bytes, policy: DecapPolicy(acceptsZeroUDP6Checksum: true))
    try require(
      again.outcome == .accepted && again.vni == outer.vni && again.source == outer.source && again.destination == outer.destination
        && again.innerOffset == header.byteCount && again.innerByteCount == inner.count
        && again.trafficClass == outer.trafficClass & 0xfc | flow.trafficClass & 3, "written and read as \(again), not \(outer)")
  }
}

extension PlainOuterIPv4 {
  /// To the destination that the packet has.
  init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool = false) {
    guard packet.byteCount >= 34 else { return nil }
    self.init(packet, Pattern(mac: nil, wireDestination: UInt64(packet.raw32(30)), udpPort: udpPort), isTrusted: isTrusted)
  }
}
