// A guest's frame in the data plane: it is delivered, tunnelled, flooded, or dropped for one reason, and a tunnelled frame
// decapsulates to what the guest sent.

import Encap

@testable import VTEP
@testable import VTEPTests

/// The first four octets of an input: how the ports are set up, what the driver reports about the frame, and the segment size in
/// two octets.
struct AccessOptions {
  static let byteCount = 4
  static let samples: [[UInt8]] = [
    [0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [6, 0, 0, 0], [8, 0, 0, 0], [10, 1, 0, 0], [8, 1, 0, 0],
    [8, 2, 0, 0], [8, 2, 0, 64], [9, 2, 5, 0xb4], [10, 2, 0x22, 0xc5], [11, 2, 0xff, 0xff], [8, 3, 0, 0], [12, 2, 5, 0xb4],
  ]

  enum Features: UInt8 {
    /// Ordinary ports; guests with offloads, control frames and carried tags.
    case none, all
  }

  var family: Family
  var attachment: Attachment
  var features: Features
  var received: MemoryPort.Received

  init(_ octets: some Collection<UInt8>) {
    let octets = Array(octets)
    family = octets[0] & 1 == 0 ? .ipv4 : .ipv6
    attachment = octets[0] & 2 == 0 ? .untagged : .tagged
    features = Features(rawValue: octets[0] >> 2 & 3) ?? .all
    switch octets[1] & 3 {
    case 0: received = .plain
    case 1: received = .unfinished
    case 2: received = .large(segment: UInt16(octets[2]) << 8 | UInt16(octets[3]))
    default: received = .looked
    }
    // A port without offloads gets no report from its driver.
    if features != .all { received = .plain }
  }

  /// One plane per set-up.
  var plane: FuzzPlane {
    get throws {
      let key = Array("\(family) \(attachment) \(features)".utf8)
      if let plane = Self.planes[key] { return plane }
      let plane = try FuzzPlane(family, attachment) { change(&$0) }
      Self.planes[key] = plane
      return plane
    }
  }

  private nonisolated(unsafe) static var planes: [[UInt8]: FuzzPlane] = [:]

  private func change(_ model: inout ForwardingModel) {
    func port(_ place: Place, _ features: PortFeatures) { model.ports[Int(place.rawValue)].features = features }
    switch features {
    case .none: break
    case .all:
      port(.vm1, family == .ipv4 ? [.offersOffloads, .guardsBPDU, .tunnelsControl] : [.offersOffloads, .puntsControl])
      port(.vm2, [.takesUnfinished, .takesSegmentsIPv4, .takesSegmentsIPv6, .tunnelsControl])
      port(.vm3, .isIsolated)
      model.domains[Int(Topology.domain)].entry.carriesInnerVLAN = true
      model.domains[Int(Topology.domain)].entry.reportsStations = true
      model.domains[Int(Topology.domain)].entry.tunnelsControl = true
    }
  }
}

@Sendable func fuzzAccessFrame(_ input: UnsafeMutableRawBufferPointer) throws {
  guard input.count >= AccessOptions.byteCount else { return }
  let options = AccessOptions(input.prefix(AccessOptions.byteCount))
  let frame = Array(input.dropFirst(AccessOptions.byteCount))
  let plane = try options.plane
  // Headers in the first buffer: drivers fill it before they use another.
  let segments = Array(repeating: 1500, count: max(frame.count - 1, 0) / 1500)
  let outcome = try plane.outcome(of: frame, at: .vm1, segments: segments, as: options.received)

  try require(outcome.ignored == 0 && outcome.local[.vm1] == nil, "\(outcome)")
  let isPlain = options.features != .all
  if outcome.flooded == 0, isPlain { try require(outcome.count == 1, "more than one end: \(outcome)") }
  if outcome.flooded == 1, isPlain { try require((1...3).contains(outcome.count), "flooded to more than there are: \(outcome)") }
  let limit = 3 * segmentCount(frame, options)
  try require(outcome.count <= limit, "\(outcome.count) segments to three places, not \(limit)")
  let expected = frameInside(frame, options)
  for packet in outcome.tunnelled {
    let outer = OuterPacket(parsing: packet.span.bytes, policy: DecapPolicy(acceptsZeroUDP6Checksum: true))
    try require(outer.outcome == .accepted && outer.vni == Topology.vni, "sent as \(outer)")
    try require(outer.source == Topology.ownAddress(options.family), "sent from \(outer.source)")
    let end = outer.innerOffset + outer.innerByteCount
    try require(end == packet.count && packet.count - 14 <= Topology.underlayMTU, "\(packet.count) octets, the frame ends at \(end)")
    if options.features == .none { try require(Array(packet[outer.innerOffset...]) == expected, "another frame in the tunnel") }
  }
  guard options.features == .none else { return }
  for frames in outcome.local.values {
    // The tag of another binding of the same VLAN means the same, including its priority, with its port's TPID.
    let local = options.attachment == .tagged ? Array(frame[..<12] + [0x81, 0] + frame[14...]) : expected
    try require(frames.allSatisfy { $0 == local }, "another frame at a port")
  }
}

/// How many frames result from one, according to the driver's report.
private func segmentCount(_ frame: [UInt8], _ options: AccessOptions) -> Int {
  guard case .large(let size) = options.received, size > 0 else { return 1 }
  let first = Array(frame.prefix(1500))
  let finding = OffloadRequest.check(frame: first.span.bytes, byteCount: frame.count, segmentByteCount: Int(size))
  guard case .sound(let request, let end) = finding, request.segmentByteCount != 0 else { return 1 }
  return (end - request.headerByteCount + Int(size) - 1) / Int(size)
}

/// An ordinary guest's frame in its VNI: its binding's tag, or a priority tag, is removed.
private func frameInside(_ frame: [UInt8], _ options: AccessOptions) -> [UInt8] {
  guard frame.count >= 18, EtherType.isTag(frame.big16(at: 12)) else { return frame }
  return Array(frame[..<12] + frame[16...])
}
