// What a test expects of the data plane; whatever else happens (a frame, a drop, a learn event, a lost buffer) is a failure.

import Encap
import Testing

@testable import VTEP

extension DataplaneFixture {
  /// Runs `body` on a new fixture, and checks afterwards that nothing is left over: no frame that was not expected, no
  /// counter, no packet buffer.
  static func run(
    _ family: Family = .ipv4, _ attachment: Attachment = .untagged, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (DataplaneFixture) throws -> Void
  ) throws {
    let test = try TestRuntime.shared()
    let freeBuffers = test.freeBufferCount
    do {
      let fixture = try DataplaneFixture(family, attachment, test)
      try body(fixture)
      fixture.expect(sourceLocation: sourceLocation)
      for port in test.ports { port.drain() }
    }
    // The worker has freed what it held.
    #expect(test.freeBufferCount == freeBuffers, "packet buffers leaked", sourceLocation: sourceLocation)
  }

  /// The same with the features of a port, a guest's.
  static func run(
    _ family: Family = .ipv4, _ attachment: Attachment = .untagged, features: PortFeatures,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (DataplaneFixture) throws -> Void
  ) throws {
    try run(family, attachment, sourceLocation: sourceLocation) { plane in
      plane.changePort(.vm1) { $0.features = features }
      try body(plane)
    }
  }

  /// Runs, and compares everything that happened since the last call with what is expected.
  ///
  /// - Parameters:
  ///   - local: guests' frames per port, in order, to be found there as the binding wants them.
  ///   - raw: bytes per port, for bindings that are not the topology's.
  ///   - tunnelled: packets on the uplink, in order; flow-dependent fields are taken from what was sent.
  ///   - learned: events for the learner, in order.
  func expect(
    local: [Place: [Frame]] = [:], raw: [Place: [[UInt8]]] = [:], tunnelled: [VXLANPacket] = [],
    drops: [Place: [DropReason: Int]] = [:], learned: [Sighting] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    run()
    for place in Place.allCases where !place.isUplink {
      let expected = (local[place] ?? []).map(onWire) + (raw[place] ?? [])
      #expect(take(place).map(\.hex) == expected.map(\.hex), "frames to \(place)", sourceLocation: sourceLocation)
    }
    let sent = take(.uplink)
    let expected = zip(tunnelled, sent).map { $0.withFlow(of: $1)?.bytes.hex ?? "no flow fields" }
    #expect(sent.count == tunnelled.count, "packets to the uplink", sourceLocation: sourceLocation)
    #expect(Array(sent.map(\.hex).prefix(expected.count)) == expected, "packets to the uplink", sourceLocation: sourceLocation)
    #expect(take(.secondUplink).map(\.hex) == [], "packets to the second uplink", sourceLocation: sourceLocation)
    expectCounters(drops, sourceLocation: sourceLocation)
    #expect(Sighting.takeAll(test.learnRings[0]) == learned, sourceLocation: sourceLocation)
  }

  private func expectCounters(_ drops: [Place: [DropReason: Int]], sourceLocation: SourceLocation) {
    let now = CounterValues(test.counters[0])
    #expect(now.drops(since: base) == drops, sourceLocation: sourceLocation)
    for reason in DropReason.allCases {
      // A packet that stands for several is one frame; of a flood, some are kept.
      let counted = drops.values.reduce(0) { $0 + ($1[reason] ?? 0) }
      let isFlood = now.kept(reason, since: start) + counted > DroppedFrames.perMillisecond
      let kept = now.kept(reason, since: base)
      #expect(isFlood || (min(counted, 1)...counted).contains(kept), "frames kept as \(reason.name)", sourceLocation: sourceLocation)
    }
    for place in Place.allCases {
      let index = Int(place.rawValue)
      #expect(now.received(place, since: base) == put[index], "received at \(place)", sourceLocation: sourceLocation)
      #expect(now.sent(place, since: base) == taken[index], "sent at \(place)", sourceLocation: sourceLocation)
      put[index] = Traffic()
      taken[index] = Traffic()
    }
    base = now
  }
}
