// CaptureCommand: `vtepctl capture`. The daemon captures; this writes the file, with the rights of whoever runs it.

import ArgumentParser
import FoundationEssentials
import Glibc
import VTEPControl

struct CaptureCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Captures frames at ports and uplinks into a pcapng file, until interrupted.",
    discussion: """
      The comment of each packet tells its direction (from-port, to-underlay, from-underlay, to-port, dropped), port or uplink, VNI, VTEP \
      and drop reason. tshark -Y 'frame.comment contains "vni=5001"' finds them.
      """)

  @Argument(
    help: ArgumentHelp(
      "Filter in libpcap's language, pcap-filter(7). A packet of the underlay matches if it does, or the frame inside.",
      valueName: "filter")) var filter: [String] = []
  @Option(help: "Only frames at this port or uplink.") var port: String?
  @Option(help: "Only frames of this VNI.") var vni: UInt32?
  @Flag(help: "Only frames that are dropped.") var drops = false
  @Option(help: "End after N packets.") var count: Int?
  @Option(help: "End after so many seconds.") var duration: Double?
  @Option(help: "Most octets of each frame, 1 to 262144; default: all.") var snaplen: Int?
  @Option(name: [.customShort("w"), .customLong("write")], help: "File to write; -: standard output.", completion: .file()) var file: String
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count must be 1 or more, not \(count)") }
    if let duration, !(duration > 0) { throw ValidationError("--duration must be more than 0 seconds, not \(duration)") }
    if let snaplen, !(1...262_144).contains(snaplen) { throw ValidationError("--snaplen must be from 1 to 262144, not \(snaplen)") }
  }

  func run(_ session: Session) throws {
    var client = try session.connect()
    let request = StartCapture(
      filter: filter.joined(separator: " "), port: port, vni: vni, drops: drops ? true : nil, snaplen: snaplen)
    _ = try client.send(request)
    // A filter that is refused leaves an existing file alone.
    let target = try PcapngFile(file)
    Interruption.watch()
    let end = duration.map { ContinuousClock.now + .seconds($0) }
    var packets = 0
    while true {
      let left = count.map { $0 - packets }
      let stop = Interruption.hasCome || left == 0 || end.map { $0 <= ContinuousClock.now } == true || target.isClosed
      let answer = try client.send(ReadCapture(limit: left, stop: stop))
      packets += answer.packets
      guard let blocks = Data(base64Encoded: answer.blocks) else {
        throw ControlClientError.malformedAnswer(method: ReadCapture.method, reason: "no Base64")
      }
      try target.write(blocks)
      guard answer.isOver else { continue }
      Output.diagnose("\(packets) packet\(packets == 1 ? "" : "s") captured")
      if answer.missed > 0 { Output.diagnose("\(answer.missed) missed: vtepctl did not read them in time; a filter or --snaplen helps") }
      return
    }
  }
}

/// Where packets are written to.
private final class PcapngFile {
  private let name: String
  private let descriptor: Int32
  /// Nobody reads any more.
  private(set) var isClosed = false

  init(_ name: String) throws {
    self.name = name
    descriptor = name == "-" ? STDOUT_FILENO : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure(name) }
  }

  deinit { if descriptor > STDERR_FILENO { close(descriptor) } }

  func write(_ data: Data) throws {
    var sent = 0
    while sent < data.count, !isClosed {
      let count = data.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent) }
      if count >= 0 {
        sent += count
      } else if errno == EPIPE {
        isClosed = true
      } else if errno != EINTR {
        throw Self.failure(name)
      }
    }
  }

  private static func failure(_ name: String) -> CommandFailure {
    CommandFailure(message: "\(name): \(String(cString: strerror(errno)))", isUsage: false)
  }
}

/// ^C and SIGTERM end a capture in good order; a second one ends the process.
private enum Interruption {
  nonisolated(unsafe) static var flag: sig_atomic_t = 0

  static var hasCome: Bool { flag != 0 }

  static func watch() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        Interruption.flag = 1
        signal(number, SIG_DFL)
      }
    }
  }
}
