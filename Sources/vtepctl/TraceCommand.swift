// TraceCommand: `vtepctl trace`.

import ArgumentParser
import FoundationEssentials
import VTEPControl

struct TraceCommand: ClientCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace", abstract: "Shows what would become of a frame, step by step. Nothing is sent, learned or counted.",
    discussion: """
      The forwarding code itself runs, on the running state. The frame comes from a port (--port) or from a remote VTEP \
      (--from-vtep and --vni), or is a whole packet from the underlay (--outer). It is given in hex digits, by a capture file, or by what \
      to build it from.

        vtepctl trace --port vm1 --dst-mac 02:00:00:00:00:02 --ipv4 10.0.0.1,10.0.0.2 --udp 4000,53
        vtepctl trace --from-vtep 192.0.2.2 --vni 5001 --src-mac 02:00:00:00:00:02 --dst-mac 02:00:00:00:00:01
        vtepctl trace --port vm1 lost.pcap --packet 7

      With --live: the next real frames that match a filter in libpcap's language, pcap-filter(7), and --port (or an uplink), --vni, \
      --src-mac and --dst-mac; what really happened to each, and the steps of a copy. A packet of the underlay matches the filter if it does, \
      or the frame inside.

        vtepctl trace --live --port vm1 udp port 53 --count 3
      """)

  @Argument(
    help: ArgumentHelp(
      "The frame in hex digits, without FCS, or a pcap or pcapng file. With --live: the filter.", valueName: "frame"), completion: .file())
  var words: [String] = []
  @Option(help: "Port that the frame comes from.") var port: String?
  @Option(help: "VTEP that sends the frame.") var fromVtep: String?
  @Option(help: "With --from-vtep: VNI that it sends the frame in.") var vni: UInt32?
  @Flag(help: "The frame is a packet with its outer headers, as it comes from the underlay.") var outer = false
  @Option(help: "Uplink that a packet comes in at; otherwise the first that is up.") var uplink: String?
  @Option(help: "Which packet of a capture file, from 1.") var packet = 1
  @Flag(help: "Trace real frames as they come.") var live = false
  @Option(help: "With --live: how many, 1 to 256.") var count = 1
  @Option(help: "With --live: for how long to wait for them; otherwise without end.") var seconds: Double?
  @OptionGroup var fields: FrameFields
  @ParentCommand var root: VTEPCtl
  @OptionGroup var options: CommandOptions

  /// What a frame is built from.
  struct FrameFields: ParsableArguments {
    @Option(help: "Source address; otherwise one that is known at the port.") var srcMac: String?
    @Option(help: "Destination address; of an ARP request otherwise the broadcast address.") var dstMac: String?
    @Option(help: "VLAN identifier of a tag, 0 to 4095; untagged if omitted.") var vlan: UInt16?
    @Option(help: "Priority of the tag, 0 to 7.") var priority: UInt8?
    @Option(help: "SOURCE,DESTINATION of an IPv4 packet.") var ipv4: String?
    @Option(help: "SOURCE,DESTINATION of an IPv6 packet.") var ipv6: String?
    @Option(help: "SENDER,TARGET of an ARP request.") var arp: String?
    @Option(help: "SOURCE,DESTINATION: UDP ports.") var udp: String?
    @Option(help: "SOURCE,DESTINATION: TCP ports.") var tcp: String?
    @Option(help: "DSCP of the IP packet, 0 to 63.") var dscp: UInt8?
    @Option(help: "TTL or hop limit of the IP packet.") var ttl: UInt8?
    @Option(help: "Octets of the frame, without FCS.") var length: Int?
  }

  func validate() throws {
    guard packet >= 1 else { throw ValidationError("--packet must be 1 or more, not \(packet)") }
    if live { return try validateLive() }
    guard seconds == nil, count == 1 else { throw ValidationError("--count and --seconds are for --live.") }
    guard port != nil || fromVtep != nil || outer else {
      throw ValidationError("Where does the frame come from? Give --port, or --from-vtep and --vni, or --outer.")
    }
    guard fromVtep == nil || vni != nil else { throw ValidationError("--from-vtep needs --vni, the VNI that it sends the frame in.") }
  }

  private func validateLive() throws {
    var rest = request
    (rest.sourceMAC, rest.destinationMAC) = (nil, nil)
    guard fromVtep == nil, !outer, uplink == nil, !rest.isBuilt else {
      throw ValidationError("--live takes frames by a filter, --port, --vni, --src-mac and --dst-mac only.")
    }
    guard (1...256).contains(count) else { throw ValidationError("--count must be from 1 to 256, not \(count)") }
    if let seconds, !(seconds > 0 && seconds <= 86400) { throw ValidationError("--seconds must be more than 0 and at most 86400.") }
  }

  func run(_ session: Session) throws {
    if live {
      let request = StartLiveTrace(port: port, vni: vni, filter: filter, count: count)
      return try LiveTrace.run(session, request, seconds: seconds)
    }
    var request = request
    request.frame = words.isEmpty ? nil : try octets(words.joined(separator: " "))
    let answer = try session.ask(request)
    switch session.format {
    case .json: try session.printObject(answer)
    case .table: Output.standard.write(answer.text)
    }
  }

  /// With --live: the words, and the addresses as a part of them.
  private var filter: String {
    var parts = words.isEmpty ? [] : ["(\(words.joined(separator: " ")))"]
    if let mac = fields.srcMac { parts.append("ether src \(mac)") }
    if let mac = fields.dstMac { parts.append("ether dst \(mac)") }
    return parts.joined(separator: " and ")
  }

  /// What is asked, but for the octets of the frame.
  private var request: TraceFrame {
    var request = TraceFrame()
    request.port = port
    request.fromVTEP = fromVtep
    request.vni = vni
    request.uplink = uplink
    request.isOuter = outer ? true : nil
    request.sourceMAC = fields.srcMac
    request.destinationMAC = fields.dstMac
    request.vlan = fields.vlan
    request.priority = fields.priority
    request.ipv4 = fields.ipv4
    request.ipv6 = fields.ipv6
    request.arp = fields.arp
    request.udp = fields.udp
    request.tcp = fields.tcp
    request.dscp = fields.dscp
    request.ttl = fields.ttl
    request.length = fields.length
    return request
  }

  /// Hex digits as they are, or those of a packet of a capture file.
  private func octets(_ frame: String) throws -> String {
    guard frame.contains("/") || frame.contains(".") || FileManager.default.fileExists(atPath: frame) else { return frame }
    do {
      return try CaptureFile.packet(packet, of: frame)
    } catch let error as CaptureFile.Problem {
      throw CommandFailure(message: "\(frame): \(error.text)", isUsage: true)
    }
  }
}

extension TraceAnswer {
  /// A line for each stage, outer headers also as octets, and below the remedy for what was dropped.
  var text: String {
    let width = (stages.map(\.stage.count).max() ?? 0) + 2
    let indent = String(repeating: " ", count: width)
    var lines: [String] = []
    for stage in stages {
      lines.append(stage.stage + String(repeating: " ", count: width - stage.stage.count) + stage.text)
      guard stage.stage == "header", case .text(let octets) = stage.facts["octets"] else { continue }
      let digits = Array(octets)
      for start in stride(from: 0, to: digits.count, by: 32) {
        let row = stride(from: start, to: min(start + 32, digits.count), by: 2).map { String(digits[$0...$0 + 1]) }
        lines.append(indent + row.joined(separator: " "))
      }
    }
    for drop in drops { lines.append("\(indent)\(drop.reason): \(drop.description)") }
    return lines.joined(separator: "\n") + "\n"
  }
}
