// A frame or event that is dropped for one reason: a configuration, what was before, and the one frame. The table of all of them
// (DropCases+Access, DropCases+Underlay) is for whoever must know each reason: counters, the frames that are kept, traces.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

struct DropCase: CustomTestStringConvertible, Sendable {
  /// The frame as its port or the wire carries it.
  struct Arrival {
    var place: Place
    var bytes: [UInt8]
    /// Of all buffers but the last.
    var segments: [Int] = []
    var received = MemoryPort.Received.plain
    /// It lies in its buffer's headroom.
    var isInHeadroom = false
  }

  var reason: DropReason
  /// Where it is counted.
  var counted: Place
  var family: Family
  var attachment: Attachment
  /// Configuration and earlier frames.
  var prepare: @Sendable (DataplaneFixture) throws -> Void
  var arrival: @Sendable (DataplaneFixture) -> Arrival
  /// Earlier frames wait with the frame, and come in the same burst.
  var isOneBurst: Bool
  /// What happens after the frame has come, instead of nothing.
  var follow: @Sendable (DataplaneFixture) -> Void
  /// Packet buffers that are left meanwhile; nil: as many as there are.
  var freeBuffers: Int?

  var testDescription: String { reason.name }

  init(
    _ reason: DropReason, counted: Place = .vm1, _ family: Family = .ipv4, _ attachment: Attachment = .untagged, isOneBurst: Bool = false,
    freeBuffers: Int? = nil, prepare: @escaping @Sendable (DataplaneFixture) throws -> Void = { _ in },
    follow: @escaping @Sendable (DataplaneFixture) -> Void = { _ in }, _ arrival: @escaping @Sendable (DataplaneFixture) -> Arrival
  ) {
    self.reason = reason
    self.counted = counted
    self.family = family
    self.attachment = attachment
    self.prepare = prepare
    self.arrival = arrival
    self.isOneBurst = isOneBurst
    self.follow = follow
    self.freeBuffers = freeBuffers
  }

  /// From port vm1.
  static func guest(
    _ reason: DropReason, _ frame: @autoclosure @escaping @Sendable () -> Frame, _ attachment: Attachment = .untagged,
    prepare: @escaping @Sendable (DataplaneFixture) throws -> Void = { _ in }
  ) -> DropCase {
    DropCase(reason, .ipv4, attachment, prepare: prepare) { _ in Arrival(place: .vm1, bytes: frame()) }
  }

  /// From VTEP `near`: a change to a good packet.
  static func wire(
    _ reason: DropReason, _ family: Family = .ipv4, _ edit: @escaping @Sendable (inout VXLANPacket) -> Void
  ) -> DropCase {
    wire(reason, family, prepare: { _ in }, edit)
  }

  static func wire(
    _ reason: DropReason, _ family: Family = .ipv4, prepare: @escaping @Sendable (DataplaneFixture) throws -> Void,
    _ edit: @escaping @Sendable (inout VXLANPacket) -> Void
  ) -> DropCase {
    DropCase(reason, counted: .uplink, family, prepare: prepare) { plane in
      var packet = plane.packet(carrying: goodInner)
      edit(&packet)
      return Arrival(place: .uplink, bytes: packet.bytes)
    }
  }

  /// The same with a change to its octets.
  static func octets(
    _ reason: DropReason, _ family: Family = .ipv4, _ edit: @escaping @Sendable (inout [UInt8]) -> Void
  ) -> DropCase {
    DropCase(reason, counted: .uplink, family) { plane in
      var bytes = plane.packet(carrying: goodInner).bytes
      edit(&bytes)
      return Arrival(place: .uplink, bytes: bytes)
    }
  }

  static let one = Topology.guest(1)
  static let two = Topology.guest(2)
  static let near = Topology.guest(21)
  static let good = Frame.udp(from: one, to: two)
  static let remote = Frame.udp(from: one, to: near)
  static let goodInner = Frame.udp(from: near, to: one)
  static let all = ofPorts + ofLimits + ofPaths + ofRouters + ofOuterHeaders + ofInnerFrames + ofOwnedUplinks

  // -- running one --------------------------------------------------------------------------------------------------------

  /// Prepares the case; afterwards nothing of it is left but its state.
  func begin(_ plane: DataplaneFixture) throws {
    try prepare(plane)
    if !isOneBurst { clear(plane) }
  }

  /// Lets the frame come in, and everything happen.
  func drop(_ plane: DataplaneFixture) -> Arrival {
    let frame = arrival(plane)
    if frame.isInHeadroom {
      plane.test.ports[Int(frame.place.rawValue)].putIntoHeadroom(frame.bytes)
    } else {
      plane.sendRaw(frame.bytes, at: frame.place, segments: frame.segments, as: frame.received)
    }
    if let freeBuffers { plane.test.withFreeBuffers(freeBuffers) { plane.run() } } else { plane.run() }
    follow(plane)
    plane.run()
    return frame
  }

  /// What `vtepctl trace` finds out about the frame; with what a driver says about it, `trace --live`.
  func dryRun(_ plane: DataplaneFixture) throws -> DryRun {
    var context = DataplaneFixture.context(0, plane.test, plane.table.reader, plane.test.shared)
    context.neighbors = plane.neighbors.reader
    let dry = try DryWorker(
      beside: context, reader: UInt32(TestRuntime.workers),
      runtime: plane.test.runtime)
    let frame = arrival(plane)
    guard case .plain = frame.received else {
      let copy = MemoryPort.buffer(of: frame.bytes, segments: frame.segments, as: frame.received, pool: plane.test.runtime.pool)
      return dry.run(copy: Mbuf(copy), at: frame.place.rawValue)
    }
    return try dry.run(frame.bytes, at: frame.place.rawValue, now: plane.worker.nowCycles)
  }

  /// Forgets what has happened.
  func clear(_ plane: DataplaneFixture) {
    plane.run()
    for place in Place.allCases { _ = plane.take(place) }
    _ = plane.takePuntedFrames()
    _ = Sighting.takeAll(plane.test.learnRings[0])
    plane.put = .init(repeating: Traffic(), count: Place.allCases.count)
    plane.taken = plane.put
    plane.base = CounterValues(plane.test.counters[0])
  }
}
