// `make bench`: the forwarding pipelines on one core, compared with the bare receive → transmit loop on the same devices in the
// same run. Source: net_pcap playing a file in a loop; sink: net_null. The figure that counts is the ratio: the cost of forwarding,
// independent of the machine's current load.

import ArgumentParser
import CDPDK
import Encap
import Glibc
import MACTable

@testable import VTEP

@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vtepd-bench", abstract: "Compares the forwarding pipelines with the bare receive-transmit loop.",
    subcommands: [TableBench.self, LatencyBench.self, SegmentBench.self])

  /// Rounds of bare loop and pipeline, alternating; the median is reported.
  static let rounds = 7
  static let secondsPerRound = 0.7

  @Option(help: "Forward this many packets and print nothing, for counting instructions externally.")
  var packets: Int?

  @Option(help: "With --packets: which pipeline.")
  var direction = Direction.encapsulation

  @Option(help: "Lines of the table, by name.")
  var lines = Line.all.map(\.name).joined(separator: ",")

  @Option(help: "With --packets: slow the pipeline down by this many readings of the clock per packet.")
  var waste = 0

  @Option(help: "With --packets: entries of an access control list that all frames meet; the last one matches.")
  var acl = 0

  @Flag(help: "With --packets: the bare loop instead of the pipeline.")
  var bare = false

  func run() throws {
    let names = lines.split(separator: ",").map(String.init)
    let lines = Line.all.filter { names.contains($0.name) }
    guard lines.count == names.count, let first = lines.first else {
      throw ValidationError("--lines: there are \(Line.all.map(\.name).joined(separator: ", "))")
    }

    var settings = DataplaneSettings()
    settings.memoryMiB = packets == nil || first.macs > 1000 ? 1500 : 256
    settings.hugepages = packets == nil ? .auto : .off
    let runtime = try DPDKRuntime(settings: settings, maxFrameByteCount: 2048, log: { print("#", $0) })
    let folder = try Self.temporaryFolder()
    defer { Self.removeFolder(folder) }

    if let packets {
      let scenario = try Scenario(direction, first, aclEntries: acl, runtime: runtime, folder: folder)
      var worker = scenario.worker()
      if bare { scenario.bareLoop(packets: packets) } else { scenario.pipelineLoop(&worker, packets: packets, waste: waste) }
      scenario.close()
      return
    }
    print("| line | direction | bare Mpps | bare cycles | pipeline Mpps | pipeline cycles | ratio |")
    print("|---|---|---|---|---|---|---|")
    for line in lines {
      for direction in line.directions {
        let scenario = try Scenario(direction, line, runtime: runtime, folder: folder)
        Self.report(direction, line, Self.measure(scenario))
        scenario.close()
      }
    }
  }

  private static func measure(_ scenario: Scenario) -> (bare: Rate, pipeline: Rate, ratio: Double) {
    var worker = scenario.worker()
    // A warm-up of both loops: memory is touched, entries are learned.
    _ = scenario.bareLoop(seconds: 0.2)
    _ = scenario.pipelineLoop(&worker, seconds: 0.2)
    var bare: [Rate] = []
    var pipeline: [Rate] = []
    for _ in 0..<rounds {
      bare.append(scenario.bareLoop(seconds: secondsPerRound))
      pipeline.append(scenario.pipelineLoop(&worker, seconds: secondsPerRound))
    }
    scenario.check(worker)
    // The ratio of adjacent rounds, so that a slow phase of the machine affects both.
    let ratios = zip(bare, pipeline).map { $1.packetsPerSecond / $0.packetsPerSecond }
    return (median(bare), median(pipeline), ratios.sorted()[rounds / 2])
  }

  private static func median(_ rates: [Rate]) -> Rate {
    rates.sorted { $0.packetsPerSecond < $1.packetsPerSecond }[rates.count / 2]
  }

  private static func report(
    _ direction: Direction, _ line: Line, _ result: (bare: Rate, pipeline: Rate, ratio: Double)
  ) {
    let columns = [
      line.name, direction.rawValue, result.bare.megapackets, result.bare.cycles, result.pipeline.megapackets,
      result.pipeline.cycles, "\(Int((result.ratio * 100).rounded())) %",
    ]
    print("| " + columns.joined(separator: " | ") + " |")
  }

  static func temporaryFolder() throws -> String {
    var template = Array("/tmp/vtepd-bench-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw VTEPError(.environment, "temporary folder", String(cString: strerror(errno)))
    }
    return String(cString: made)
  }

  static func removeFolder(_ path: String) { rmdir(path) }
}

/// Packets per second.
struct Rate {
  var packets: Int
  var tscCycles: UInt64

  var packetsPerSecond: Double { Double(packets) / (Double(tscCycles) / Double(cdpdk_cycles_per_second())) }
  var megapackets: String { rounded(packetsPerSecond / 1e6, 2) }
  var cycles: String { rounded(Double(tscCycles) / Double(packets), 1) }

  private func rounded(_ value: Double, _ digits: Int) -> String {
    let scale = digits == 1 ? 10.0 : 100.0
    return String((value * scale).rounded() / scale)
  }
}
