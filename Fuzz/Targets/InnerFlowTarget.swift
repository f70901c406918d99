// Everything read from or written to an inner frame: flow, tags, link-local control, congestion marks, unfinished checksums.

@testable import Encap
@testable import VTEPTests

@Sendable func fuzzInnerFlow(_ input: UnsafeMutableRawBufferPointer) throws {
  let original = Array(input)
  let frame = UnsafeRawBufferPointer(input).bytes
  // Only their own bounds checks keep these from reading beyond the frame's end.
  _ = EthernetView(frame)?.vlanTCI
  _ = (ControlFrame.isBPDU(frame) && frame.byteCount < 14, LoopProbe(parsing: frame, at: 0))
  guard original.count >= 14 else { return }
  _ = ControlFrame.isGeneralTraffic(frame)

  let flow = InnerFlow(frame: frame)
  try require(areEqual(flow, InnerFlow.general(frame)), "short cut and long way differ: \(flow)")
  try require(flow.sourcePort >= 49_152 && (1...0xf_ffff).contains(flow.flowLabel), "\(flow)")
  let isTagged = EtherType.isTag(original.big16(at: 12))
  if !isTagged {
    let tagged = original.tagged(7)
    try require(areEqual(InnerFlow(frame: tagged.span.bytes), flow), "a tag changes the flow")
  }
  if let probe = LoopProbe(parsing: frame, at: 0), !isTagged {
    var written = [UInt8](repeating: 0xa5, count: LoopProbe.frameByteCount)
    written.withUnsafeMutableBytes {
      var span = $0.mutableBytes
      probe.write(into: &span, source: MACAddress(bits: 1), tpid: 0x8100)
    }
    try require(LoopProbe(parsing: written.span.bytes, at: 0) == probe, "written and read as another: \(probe)")
  }
  try checkFlowKey(frame, original)
  try checkECN(input, original)
  try checkUnfinishedChecksum(input, original)
}

/// What access control lists look at, against the model of their tests.
private func checkFlowKey(_ frame: RawSpan, _ original: [UInt8]) throws {
  let key = FlowKey()
  defer { key.deallocate() }
  key.read(frame)
  let plain = PlainFrame(original)
  let network = key.chunks[FlowKey.Field.network.rawValue]
  let contents = FlowKey.Contents(rawValue: network & 0xff)
  try require(key.chunks[FlowKey.Field.etherType.rawValue] == plain.etherType, "another EtherType than \(plain.etherType)")
  try require(contents.contains(.ip) == (plain.protocolNumber != nil), "an IP header or none: \(contents)")
  try require(plain.protocolNumber.map { UInt16($0) == network >> 8 } ?? true, "another protocol than \(plain.protocolNumber ?? 0)")
  try require(contents.contains(.ports) == (plain.ports != nil), "ports or none: \(contents)")
  try require(
    plain.ports.map { key.chunks[FlowKey.Field.sourcePort.rawValue].byteSwapped == $0.source } ?? true, "another source port")
  try require(contents.contains(.tcpFlags) == (plain.tcpFlags != nil), "TCP flags or none: \(contents)")
  try require(plain.tcpFlags.map { key.chunks[FlowKey.Field.tcpFlags.rawValue] == $0 } ?? true, "other TCP flags")
  try require(contents.contains(.icmp) == (plain.icmp != nil), "ICMP or none: \(contents)")
}

private func areEqual(_ left: InnerFlow, _ right: InnerFlow) -> Bool {
  left.hash == right.hash && left.trafficClass == right.trafficClass && left.hopLimit == right.hopLimit
}

/// RFC 6040: only the ECN field changes, and with it the IPv4 header checksum, which stays as correct as it was.
private func checkECN(_ input: UnsafeMutableRawBufferPointer, _ original: [UInt8]) throws {
  let network = NetworkLayer(of: original.span.bytes)
  let flow = InnerFlow(frame: original.span.bytes)
  for outer: UInt8 in 0...3 {
    input.copyBytes(from: original)
    var span = input.mutableBytes
    let mayPass = ECN.decapsulate(outerTrafficClass: outer, into: &span)
    let changed = original.indices.filter { original[$0] != input[$0] }
    guard mayPass else {
      try require(outer == 3 && flow.trafficClass & 3 == 0 && changed.isEmpty, "dropped: outer \(outer), inner \(flow)")
      continue
    }
    let fields = [0, 1, 10, 11].map { $0 + network.offset }
    try require(changed.allSatisfy(fields.contains), "octets \(changed) have changed")
    let after = InnerFlow(frame: UnsafeRawBufferPointer(input).bytes)
    try require(after.trafficClass & 0xfc == flow.trafficClass & 0xfc && after.hopLimit == flow.hopLimit, "\(flow) has become \(after)")
    let isIPv4 = network.etherType == EtherType.ipv4 && !changed.isEmpty
    if isIPv4 {
      let header = network.offset..<network.offset + 20
      let before = Array(original[header]).internetChecksum
      let now = Array(input[header]).internetChecksum
      // 0 and 0xffff are the same sum.
      try require(before % 0xffff == now % 0xffff, "the IPv4 checksum was off by \(before) and is by \(now)")
    }
  }
  input.copyBytes(from: original)
}

/// Only the checksum changes, and once it is completed there is nothing left to do.
private func checkUnfinishedChecksum(_ input: UnsafeMutableRawBufferPointer, _ original: [UInt8]) throws {
  var span = input.mutableBytes
  let outcome = UnfinishedChecksum.finish(frame: &span)
  let changed = original.indices.filter { original[$0] != input[$0] }
  guard outcome == .finished else { return try require(changed.isEmpty, "\(outcome), and octets \(changed) have changed") }
  let isOneField = changed.count == 1 || changed.count == 2 && changed[0] + 1 == changed[1]
  try require(isOneField, "octets \(changed) have changed")
  var again = input.mutableBytes
  try require(UnfinishedChecksum.finish(frame: &again) == .complete, "finished twice")
}
