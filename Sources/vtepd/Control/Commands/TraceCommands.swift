// TraceCommands: `vtepctl trace`: reads or builds the frame, and has the data plane forward it, dry.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addTraceCommands(to commands: inout ControlCommands) {
    commands.add(TraceFrame.self, handle)
  }

  func handle(_ request: TraceFrame) async throws(ControlError) -> TraceAnswer {
    let reconciler = try running()
    let isControlled = configuration.ovsdb != nil
    let origin = try request.origin
    let octets = try request.octets { port, vlan in reconciler.running.someStation(behind: port, vlan: vlan) }
    do {
      return TraceAnswer(try reconciler.trace(octets, from: origin), isControlled: isControlled, udpPort: reconciler.running.vxlanPort)
    } catch {
      throw Self.refusal(error)
    }
  }
}

extension TraceFrame {
  var origin: TraceOrigin {
    get throws(ControlError) {
      if let port {
        guard fromVTEP == nil, vni == nil, isOuter != true, uplink == nil else {
          throw ControlError(
            .invalidParameters, "port: a frame comes from a port or from the underlay; leave out from_vtep, vni, outer and uplink")
        }
        return .port(port)
      }
      if let fromVTEP {
        guard isOuter != true else {
          throw ControlError(.invalidParameters, "outer: a packet has its outer headers already; leave out from_vtep and vni")
        }
        guard let vni else { throw ControlError(.invalidParameters, "vni is missing: name the VNI that the VTEP sends the frame in") }
        return .vtep(try IPAddress(parameter: fromVTEP, "from_vtep"), vni: try VNI(parameter: vni), uplink: uplink)
      }
      guard isOuter == true else {
        throw ControlError(.invalidParameters, "port is missing: name the port that the frame comes from, or the VTEP (from_vtep and vni)")
      }
      guard vni == nil else { throw ControlError(.invalidParameters, "vni: the packet has its own; leave vni out") }
      return .underlay(uplink: uplink)
    }
  }

  /// The frame.
  ///
  /// - Parameter station: an address behind a port and VLAN, for a frame without source.
  func octets(station: (String, UInt16) -> MACAddress?) throws(ControlError) -> [UInt8] {
    if let frame {
      guard !isBuilt else {
        throw ControlError(.invalidParameters, "frame: give its octets or what to build it from, not both")
      }
      return try Self.octets(hex: frame)
    }
    guard isOuter != true else { throw ControlError(.invalidParameters, "frame is missing: outer is for a packet's octets") }
    return try built(station: station)
  }

  private static func octets(hex text: String) throws(ControlError) -> [UInt8] {
    var digits: [UInt8] = []
    for (position, character) in text.enumerated() where !character.isWhitespace && character != ":" {
      guard character.isASCII, let digit = character.hexDigitValue else {
        throw ControlError(
          .invalidParameters,
          "frame: '\(character)' at position \(position + 1) is no hex digit; give two digits for each octet, or a capture file")
      }
      digits.append(UInt8(digit))
    }
    guard !digits.isEmpty else { throw ControlError(.invalidParameters, "frame: it is empty; give two hex digits for each octet") }
    guard digits.count % 2 == 0 else {
      throw ControlError(
        .invalidParameters, "frame: \(digits.count) hex digits are no whole number of octets; give two digits for each octet")
    }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  private func built(station: (String, UInt16) -> MACAddress?) throws(ControlError) -> [UInt8] {
    if let vlan, vlan > 4095 { throw ControlError(.invalidParameters, "vlan \(vlan) is not from 0 to 4095") }
    if let priority, priority > 7 { throw ControlError(.invalidParameters, "priority \(priority) is not from 0 to 7") }
    if let dscp, dscp > 63 { throw ControlError(.invalidParameters, "dscp \(dscp) is not from 0 to 63") }
    if priority != nil, vlan == nil { throw ControlError(.invalidParameters, "priority: it belongs to a tag; name the vlan, 0 for none") }
    let network = try network()
    var frame = TestFrame(from: try source(station), to: try destination(network))
    frame.vlan = vlan
    frame.priority = priority ?? 0
    frame.network = network
    frame.dscp = dscp ?? 0
    frame.ttl = ttl ?? 64
    switch (udp, tcp) {
    case (nil, nil): break
    case (let udp?, nil):
      let (source, destination) = try Self.ports(udp, "udp")
      frame.transport = .udp(source: source, destination: destination)
    case (nil, let tcp?):
      let (source, destination) = try Self.ports(tcp, "tcp")
      frame.transport = .tcp(source: source, destination: destination)
    default: throw ControlError(.invalidParameters, "udp and tcp: give one of them")
    }
    if frame.transport != nil || dscp != nil || ttl != nil {
      guard case .ip = network else {
        throw ControlError(.invalidParameters, "udp, tcp, dscp and ttl are of an IP packet: give its addresses, ipv4 or ipv6")
      }
    }
    if let length {
      let limit = 65_535 + 14
      guard (frame.headerByteCount...limit).contains(length) else {
        throw ControlError(
          .invalidParameters, "length \(length): with these headers a frame has from \(frame.headerByteCount) to \(limit) octets")
      }
      frame.length = length
    }
    return frame.octets
  }

  private func source(_ station: (String, UInt16) -> MACAddress?) throws(ControlError) -> MACAddress {
    if let sourceMAC { return try MACAddress(parameter: sourceMAC) }
    if let port, let known = station(port, vlan ?? 0) { return known }
    throw ControlError(.invalidParameters, "src_mac is missing: no address is known there; give the sender's")
  }

  private func destination(_ network: TestFrame.Network?) throws(ControlError) -> MACAddress {
    if let destinationMAC { return try MACAddress(parameter: destinationMAC) }
    if case .arp = network { return .broadcast }
    throw ControlError(.invalidParameters, "dst_mac is missing: give the receiver's address")
  }

  private func network() throws(ControlError) -> TestFrame.Network? {
    let given = [(ipv4, "ipv4"), (ipv6, "ipv6"), (arp, "arp")].compactMap { text, name in text.map { ($0, name) } }
    guard let (text, name) = given.first else { return nil }
    guard given.count == 1 else { throw ControlError(.invalidParameters, "\(given[0].1) and \(given[1].1): give one of them") }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else { throw ControlError(.invalidParameters, "\(name) '\(text)' is not SOURCE,DESTINATION") }
    let (from, to) = (try IPAddress(parameter: parts[0], name), try IPAddress(parameter: parts[1], name))
    guard from.isIPv4 == (name != "ipv6"), to.isIPv4 == (name != "ipv6") else {
      throw ControlError(.invalidParameters, "\(name) '\(text)': both addresses must be \(name == "ipv6" ? "IPv6" : "IPv4")")
    }
    return name == "arp" ? .arp(sender: from, target: to) : .ip(source: from, destination: to)
  }

  private static func ports(_ text: String, _ name: String) throws(ControlError) -> (UInt16, UInt16) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { UInt16($0) }
    guard parts.count == 2, let from = parts[0], let to = parts[1] else {
      throw ControlError(.invalidParameters, "\(name) '\(text)' is not SOURCE,DESTINATION, ports from 0 to 65535")
    }
    return (from, to)
  }
}

extension TraceAnswer {
  /// - Parameter udpPort: of VXLAN.
  init(_ report: TraceReport, isControlled: Bool, udpPort: UInt16) {
    self.init(
      outcome: report.outcome.rawValue,
      stages: report.stages.map { stage in
        let facts = stage.facts.mapValues(SettingValue.init)
        guard let frame = stage.frame else { return TraceStageRow(stage: stage.name.rawValue, text: stage.text, facts: facts) }
        return TraceStageRow(stage.name.rawValue, stage.text, facts, frame, isOuter: stage.isOuter, udpPort: udpPort)
      },
      drops: report.drops.map {
        DropRow(
          reason: $0.reason.name, place: $0.place, count: $0.count,
          description: isControlled ? $0.reason.descriptionUnderController : $0.reason.description)
      },
      sent: report.sent.map {
        TraceSentRow(
          port: $0.port, isUplink: $0.isUplink, vtep: $0.vtep.map { "\($0)" }, vni: $0.vni?.rawValue, length: $0.octets.count,
          octets: $0.octets.hexDigits)
      },
      sentCount: report.sentCount, snapshot: report.snapshot)
  }
}

extension SettingValue {
  fileprivate init(_ fact: TraceReport.Fact) {
    switch fact {
    case .text(let value): self = .text(value)
    case .number(let value): self = .number(Int64(value))
    case .flag(let value): self = .flag(value)
    case .list(let values): self = .list(values.map { .text($0) })
    case .none: self = .null
    }
  }
}
