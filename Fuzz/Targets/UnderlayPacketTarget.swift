// A packet from the underlay in the data plane: it is delivered, flooded, dropped for one reason or left to the kernel, as
// decapsulation decides, and nothing goes back into a tunnel.

import Encap

@testable import VTEP
@testable import VTEPTests

/// The first octet of an input.
struct UnderlayOptions {
  static let samples: [[UInt8]] = [[0], [1], [2], [4], [8], [16], [29]]

  var family: Family
  var attachment: Attachment
  /// The guests accept joined segments; tags are carried and control frames tunnelled.
  var hasFeatures: Bool
  var acceptsZeroUDP6Checksum: Bool
  /// The packet arrives in two buffers.
  var isSplit: Bool

  init(_ octet: UInt8) {
    family = octet & 1 == 0 ? .ipv4 : .ipv6
    attachment = octet & 2 == 0 ? .untagged : .tagged
    hasFeatures = octet & 4 != 0
    acceptsZeroUDP6Checksum = octet & 8 != 0
    isSplit = octet & 16 != 0
  }

  /// One plane per set-up.
  var plane: FuzzPlane {
    get throws {
      let key = "\(family) \(attachment) \(hasFeatures) \(acceptsZeroUDP6Checksum)"
      if let plane = Self.planes[key] { return plane }
      let plane = try FuzzPlane(family, attachment) { model in
        model.decapPolicy = DecapPolicy(acceptsZeroUDP6Checksum: acceptsZeroUDP6Checksum)
        guard hasFeatures else { return }
        model.ports[Int(Place.vm2.rawValue)].features = [.takesUnfinished, .takesSegmentsIPv4, .takesSegmentsIPv6, .tunnelsControl]
        model.domains[Int(Topology.domain)].entry.carriesInnerVLAN = true
        model.domains[Int(Topology.domain)].entry.tunnelsControl = true
      }
      Self.planes[key] = plane
      return plane
    }
  }

  private nonisolated(unsafe) static var planes: [String: FuzzPlane] = [:]
}

@Sendable func fuzzUnderlayPacket(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let first = input.first else { return }
  let options = UnderlayOptions(first)
  let packet = Array(input.dropFirst())
  // The contents of a buffer.
  guard packet.count <= 1900 else { return }
  let plane = try options.plane
  let outcome = try plane.outcome(of: packet, at: .uplink, segments: options.isSplit && packet.count > 60 ? [60] : [])

  try require(outcome.tunnelled.isEmpty && outcome.flooded == 0 && outcome.punted == 0, "back into a tunnel: \(outcome)")
  try require(outcome.count <= 3, "to more than there are: \(outcome)")
  let outer = OuterPacket(parsing: packet.span.bytes, policy: DecapPolicy(acceptsZeroUDP6Checksum: options.acceptsZeroUDP6Checksum))
  if let reason = CutFrame.reason(byteCount: packet.count) {
    return try require(outcome.count == 1 && outcome.drops[reason] == 1, "cut off to tell \(reason): \(outcome)")
  }
  switch outer.outcome {
  case .notVXLAN: try require(outcome.count == 1 && outcome.ignored == 1, "the kernel's, and yet \(outcome)")
  case .dropped: try require(outcome.count == 1 && outcome.drops[outer.reason] == 1, "\(outer.reason), and yet \(outcome)")
  case .accepted:
    try require(outcome.ignored == 0, "ours, and yet \(outcome)")
    let inner = Array(packet[outer.innerOffset..<outer.innerOffset + outer.innerByteCount])
    // Copies of a flooded packet may be too big.
    if outcome.drops.keys.contains(where: { $0 != .tooBigForPort }) { try require(outcome.count == 1, "dropped, and yet \(outcome)") }
    // Without tags, congestion marks and priorities the frame is unchanged.
    guard outer.trafficClass == 0, !EtherType.isTag(inner.big16(at: 12)) else { return }
    for frames in outcome.local.values {
      try require(frames.allSatisfy { $0 == plane.fixture.onWire(inner) }, "another frame at a port")
    }
  }
}
