// `vtepd-bench segments`: what a large TCP segment of a guest costs a worker on its way into a tunnel: cut by the worker, or left to the NIC.
// The NIC is net_null, which takes everything: what a real one needs for it is not a worker's time.

import ArgumentParser
import CDPDK
import Glibc

@testable import VTEP

struct SegmentBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "segments", abstract: "Compares large segments that workers cut with those that are left to a NIC.")

  /// TCP payload of the large segment, and of its pieces over IPv4 with a timestamp on an underlay with an MTU of 1500.
  private static let payloadByteCount = 65_000
  private static let pieceByteCount = 1398
  private static let rounds = 7

  private enum Way: String, CaseIterable {
    case bare = "buffers taken and given back"
    case left = "left to the NIC"
    case cut = "cut by the worker"
  }

  @Option(help: "Segments in each round.")
  var segments = 20_000

  func run() throws {
    var settings = DataplaneSettings()
    settings.memoryMiB = 200
    let runtime = try DPDKRuntime(settings: settings, maxFrameByteCount: 2048, log: { print("#", $0) })
    var microseconds: [Way: [Double]] = [:]
    for _ in 0..<Self.rounds {
      for way in Way.allCases { microseconds[way, default: []].append(try time(way, runtime)) }
    }
    print("TCP over IPv4, \(Self.payloadByteCount) octets in pieces of \(Self.pieceByteCount); medians of \(Self.rounds) rounds")
    print("| | microseconds |")
    print("|---|---|")
    for way in Way.allCases {
      guard let times = microseconds[way]?.sorted() else { continue }
      print("| \(way.rawValue) | \((times[Self.rounds / 2] * 100).rounded() / 100) |")
    }
  }

  /// Microseconds for each segment.
  private func time(_ way: Way, _ runtime: DPDKRuntime) throws -> Double {
    Self.runs += 1
    guard let ring = cdpdk_ring_create("segments\(Self.runs)", UInt32(MemoryLayout<OpaquePointer>.size), 8) else {
      throw VTEPError(.environment, "ring", VTEPError.errnoText(cdpdk_errno()))
    }
    var end: OpaquePointer? = ring
    let portID = rte_eth_from_rings("segments\(Self.runs)", &end, 1, &end, 1, 0)
    try VTEPError.check(portID, "device of a ring")
    let guest = try EthernetDevice.start(UInt16(portID), queues: 1, purpose: .plain, runtime: runtime, subject: "guest")
    let line = Line(name: "1k")
    let scenario = try Scenario(
      .encapsulation, line, nic: way == .left ? .cutsInner : [], runtime: runtime, from: guest,
      to: try Scenario.device("net_null0", "", runtime))
    defer { scenario.close() }
    let headers = Self.headers(TrafficFile.received(0, line, .encapsulation))
    var worker = scenario.worker()
    var start: UInt64 = 0
    let warmUp = 1000
    for index in 0..<segments + warmUp {
      if index == warmUp { start = cdpdk_cycles() }
      let segment = try Self.segment(headers, runtime)
      guard way != .bare else {
        cdpdk_mbuf_free(segment)
        continue
      }
      var raw: OpaquePointer? = segment
      precondition(cdpdk_tx_burst(guest.portID, 0, &raw, 1) == 1, "the ring holds a segment")
      precondition(worker.runOnce() == 1, "the worker has it")
    }
    let seconds = Double(cdpdk_cycles() &- start) / Double(cdpdk_cycles_per_second())
    if way != .bare { scenario.checkPieces(worker, (segments + warmUp) * ((Self.payloadByteCount - 1) / Self.pieceByteCount + 1)) }
    return seconds / Double(segments) * 1e6
  }

  nonisolated(unsafe) private static var runs = 0

  /// Ethernet and IPv4 as in a frame of the traffic, then TCP.
  private static func headers(_ frame: [UInt8]) -> [UInt8] {
    func big(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }
    var ip = Array(frame[14..<34])
    ip.replaceSubrange(2..<4, with: big(52 + payloadByteCount))
    ip[9] = 6
    return frame[..<14] + ip + frame[34..<38] + [0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x10, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10]
      + [UInt8](repeating: 7, count: 8)
  }

  /// As a guest's driver hands it over. The payload is whatever lies in the buffers.
  private static func segment(_ headers: [UInt8], _ runtime: DPDKRuntime) throws -> OpaquePointer {
    var left = headers.count + payloadByteCount
    var head: OpaquePointer?
    while left > 0 {
      guard let buffer = cdpdk_mbuf_alloc(runtime.pool) else { throw VTEPError(.environment, "packet buffers", "too few") }
      let count = min(left, 2048)
      precondition(cdpdk_mbuf_append(buffer, UInt16(count)) != nil, "a buffer holds 2048 octets")
      left -= count
      if let head { precondition(cdpdk_mbuf_chain(head, buffer) == 0, "a packet may have so many buffers") } else { head = buffer }
    }
    guard let head else { preconditionFailure("no segment") }
    headers.withUnsafeBytes { if let base = $0.baseAddress { cdpdk_mbuf_data(head).copyMemory(from: base, byteCount: $0.count) } }
    cdpdk_mbuf_set_received(head, 1, 1, UInt16(pieceByteCount), 0)
    return head
  }
}
