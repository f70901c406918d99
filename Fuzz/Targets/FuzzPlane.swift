// The data plane on memory ports, for the targets that send a frame through it: the frame's fate, over all ports, counters and
// buffers. Each frame must leave, or be dropped for one reason.

import CDPDK
import Encap

@testable import VTEP
@testable import VTEPTests

final class FuzzPlane {
  /// What happened to a frame.
  struct Outcome {
    var local: [Place: [[UInt8]]] = [:]
    var tunnelled: [[UInt8]] = []
    var drops: [DropReason: Int] = [:]
    /// Left to the kernel: not VXLAN.
    var ignored = 0
    /// Handed to the slow path.
    var punted = 0
    /// Flooded from a port.
    var flooded = 0

    var sentCount: Int { tunnelled.count + local.values.reduce(0) { $0 + $1.count } }
    /// Copies and segments that were sent, or were not.
    var count: Int { sentCount + drops.values.reduce(0, +) + ignored + punted }
  }

  let fixture: DataplaneFixture

  init(_ family: Family, _ attachment: Attachment, _ change: (inout ForwardingModel) -> Void) throws {
    // Several exist side by side, each with its own snapshot.
    fixture = try DataplaneFixture(family, attachment, TestRuntime.shared(), shared: TestRuntime.sharedState())
    fixture.change(change)
  }

  /// Sends one frame and collects all results.
  func outcome(of frame: [UInt8], at place: Place, segments: [Int] = [], as received: MemoryPort.Received = .plain) throws -> Outcome {
    let test = fixture.test
    let freeBuffers = test.freeBufferCount
    fixture.base = CounterValues(test.counters[0])
    // The slow path has a budget for each twentieth of a second, which is not tested here.
    fixture.worker.refillBudgets()
    fixture.worker.sendInjections()
    fixture.sendRaw(frame, at: place, segments: segments, as: received)
    fixture.run()

    let deltas = fixture.deltas
    var outcome = Outcome()
    for port in Place.allCases {
      let frames = fixture.take(port)
      let sent = Traffic(packets: frames.count, bytes: frames.reduce(0) { $0 + $1.count })
      try require(deltas.sent(port) == sent, "\(port) counts \(deltas.sent(port)), sent are \(sent)")
      let received = Traffic(packets: port == place ? 1 : 0, bytes: port == place ? frame.count : 0)
      try require(deltas.received(port) == received, "\(port) counts \(deltas.received(port)), received are \(received)")
      if port.isUplink { outcome.tunnelled += frames } else if !frames.isEmpty { outcome.local[port] = frames }
    }
    var item = SlowPathItem()
    while test.punts[0].receive(&item) {
      guard let mbuf = item.mbuf else { continue }
      outcome.punted += 1
      cdpdk_mbuf_free(mbuf)
      item.mbuf = nil
    }
    for reasons in deltas.drops.values { outcome.drops.merge(reasons, uniquingKeysWith: +) }
    outcome.ignored = Place.allCases.reduce(0) { $0 + deltas.ignored($1).values.reduce(0, +) }
    outcome.flooded = deltas.flooded(Topology.domain)
    try require(Sighting.takeAll(test.learnRings[0]).count <= 2, "more than two sightings of one frame")
    try require(outcome.count > 0, "the frame is gone without a trace")
    try require(test.freeBufferCount == freeBuffers, "packet buffers leaked")
    return outcome
  }
}
