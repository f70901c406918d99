// The fuzz targets: one for each decoder, with the properties that hold for any input. The fuzzer (Fuzz/Fuzzer.swift) and the
// replay of the seeds in the unit tests (Fuzz/Replay) share this list.

/// One decoder, or a path through the data plane.
struct FuzzTarget: Sendable {
  /// Also the name of its seed folder, Fuzz/seeds/NAME.
  let name: String
  /// The target's options to put in front of the packets in Fuzz/seeds/packets. Empty: the target does not take packets.
  var packetOptions: [[UInt8]] = []
  /// The alignment of the start of an input, in bytes; nothing beyond its end can be read.
  var alignment = 1
  /// - Throws: `Finding` if a property does not hold.
  let run: @Sendable (UnsafeMutableRawBufferPointer) throws -> Void

  static let all = [
    FuzzTarget(name: "outer-packet", packetOptions: [[]], run: fuzzOuterPacket),
    FuzzTarget(name: "inner-flow", packetOptions: [[]], run: fuzzInnerFlow),
    FuzzTarget(name: "station-address", packetOptions: [[]], run: fuzzStationAddress),
    FuzzTarget(name: "neighbor-request", packetOptions: [[]], run: fuzzNeighborRequest),
    FuzzTarget(name: "offload-request", packetOptions: OffloadOptions.samples, run: fuzzOffloadRequest),
    FuzzTarget(name: "placed-request", run: fuzzPlacedRequest),
    FuzzTarget(name: "segmenter", packetOptions: OffloadOptions.samples, run: fuzzSegmenter),
    FuzzTarget(name: "access-frame", packetOptions: AccessOptions.samples, run: fuzzAccessFrame),
    FuzzTarget(name: "underlay-packet", packetOptions: UnderlayOptions.samples, run: fuzzUnderlayPacket),
    FuzzTarget(name: "frame-text", packetOptions: [[]], run: fuzzFrameText),
    FuzzTarget(name: "netlink", alignment: 4, run: fuzzNetlink),
    FuzzTarget(name: "control-line", run: fuzzControlLine),
    FuzzTarget(name: "configuration", run: fuzzConfiguration),
    FuzzTarget(name: "controller-state", run: fuzzControllerState),
    FuzzTarget(name: "restart-state", run: fuzzRestartState),
    FuzzTarget(name: "json", run: fuzzJSON),
    FuzzTarget(name: "session", run: fuzzSession),
  ]
}

/// A violated property.
struct Finding: Error, CustomStringConvertible {
  let description: String
}

func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
  guard condition else { throw Finding(description: message()) }
}
