// FrameText: a frame, and outer headers, in one line each, for `vtepctl trace`. It reads whatever is there, cut frames included. Control side.

import Encap

/// A look at a frame's octets; what is not there reads as nothing.
struct FrameText {
  let octets: [UInt8]
  private(set) var text = ""
  private(set) var facts: [String: TraceReport.Fact] = [:]
  /// Where the IP header, ARP packet or other payload begins, and its EtherType.
  private(set) var payload: (offset: Int, type: UInt16)?

  /// - Parameter start: of the frame.
  init(_ octets: [UInt8]) {
    self.octets = octets
    facts["length"] = .number(octets.count)
    guard let destination = mac(0), let source = mac(6), var type = big16(12) else {
      text = "\(octets.count) octets, cut within the Ethernet header"
      return
    }
    facts["source"] = .text("\(source)")
    facts["destination"] = .text("\(destination)")
    text = "\(source) > \(destination)"
    var offset = 14
    var tags: [String] = []
    while EtherType.isTag(type), tags.count < 2, let tci = big16(offset), let next = big16(offset + 2) {
      let name = type == EtherType.customerTag ? "VLAN" : "S-VLAN"
      tags.append("\(name) \(tci & 0xfff)" + (tci >> 13 != 0 ? " priority \(tci >> 13)" : ""))
      type = next
      offset += 4
    }
    facts["tags"] = .list(tags)
    facts["ether_type"] = .text("0x" + hex(type, 4))
    payload = (offset, type)
    let parts = tags + [describe(type, at: offset), "\(octets.count) octets"]
    text += ", " + parts.joined(separator: ", ")
  }

  private mutating func describe(_ type: UInt16, at offset: Int) -> String {
    switch type {
    case EtherType.ipv4:
      guard let first = byte(offset), first >> 4 == 4, let number = byte(offset + 9), let source = ipv4(offset + 12),
        let destination = ipv4(offset + 16)
      else { return "IPv4, cut" }
      let isFragment = (big16(offset + 6) ?? 0) & 0x3fff != 0
      return "IPv4 " + describe(source, destination, number, at: isFragment ? nil : offset + Int(first & 0xf) * 4)
        + (isFragment ? ", fragment" : "")
    case EtherType.ipv6:
      guard let number = byte(offset + 6), let source = ipv6(offset + 8), let destination = ipv6(offset + 24) else { return "IPv6, cut" }
      return "IPv6 " + describe(source, destination, number, at: offset + 40)
    case EtherType.arp:
      guard let operation = big16(offset + 6), let sender = ipv4(offset + 14), let target = ipv4(offset + 24) else { return "ARP, cut" }
      return operation == 1 ? "ARP who has \(target), tell \(sender)" : operation == 2 ? "ARP \(sender) is here, to \(target)" : "ARP"
    default: return type < 1536 ? "IEEE 802.3 length \(type)" : "EtherType 0x" + hex(type, 4)
    }
  }

  /// - Parameter offset: of the transport header; nil: there is none.
  private mutating func describe(_ source: IPAddress, _ destination: IPAddress, _ number: UInt8, at offset: Int?) -> String {
    facts["ip_source"] = .text("\(source)")
    facts["ip_destination"] = .text("\(destination)")
    facts["ip_protocol"] = .number(Int(number))
    let addresses = "\(source) > \(destination), "
    let name = [1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"][number]
    if [6, 17, 132].contains(number), let offset, let from = big16(offset), let to = big16(offset + 2) {
      facts["port_source"] = .number(Int(from))
      facts["port_destination"] = .number(Int(to))
      return addresses + "\(name ?? "") \(from) > \(to)"
    }
    return addresses + (name ?? "protocol \(number)")
  }

  // -- outer headers ----------------------------------------------------------------------------------------------------

  /// Octets of the outer headers of a VXLAN packet that we send, its fields in one line, and the same for scripts; nil for another packet.
  static func outer(_ octets: [UInt8]) -> (byteCount: Int, text: String, facts: [String: TraceReport.Fact])? {
    let frame = FrameText(octets)
    guard let (ip, type) = frame.payload, let next = frame.mac(0), let own = frame.mac(6) else { return nil }
    var facts: [String: TraceReport.Fact] = ["source_mac": .text("\(own)"), "destination_mac": .text("\(next)")]
    var text = "Ethernet \(own) > \(next)"
    let udp: Int
    if type == EtherType.ipv4, let trafficClass = frame.byte(ip + 1), let identification = frame.big16(ip + 4),
      let flags = frame.big16(ip + 6), let ttl = frame.byte(ip + 8), let checksum = frame.big16(ip + 10),
      let source = frame.ipv4(ip + 12), let destination = frame.ipv4(ip + 16)
    {
      udp = ip + 20
      text +=
        "; IPv4 \(source) > \(destination), TTL \(ttl), DSCP \(trafficClass >> 2), ECN \(trafficClass & 3), identification \(identification)"
        + (flags & 0x4000 != 0 ? ", DF" : "") + ", checksum 0x\(hex(checksum, 4))"
      facts["source"] = .text("\(source)")
      facts["destination"] = .text("\(destination)")
      facts["ttl"] = .number(Int(ttl))
      facts["dscp"] = .number(Int(trafficClass >> 2))
      facts["ecn"] = .number(Int(trafficClass & 3))
      facts["identification"] = .number(Int(identification))
      facts["df"] = .flag(flags & 0x4000 != 0)
      facts["ip_checksum"] = .number(Int(checksum))
      facts["flow_label"] = TraceReport.Fact.none
    } else if type == EtherType.ipv6, let head = frame.big16(ip), let label = frame.big16(ip + 2), let hops = frame.byte(ip + 7),
      let source = frame.ipv6(ip + 8), let destination = frame.ipv6(ip + 24)
    {
      udp = ip + 40
      let trafficClass = UInt8(truncatingIfNeeded: head >> 4)
      let flow = Int(head & 0xf) << 16 | Int(label)
      text +=
        "; IPv6 \(source) > \(destination), hop limit \(hops), DSCP \(trafficClass >> 2), ECN \(trafficClass & 3), flow label 0x\(hex(flow, 5))"
      facts["source"] = .text("\(source)")
      facts["destination"] = .text("\(destination)")
      facts["ttl"] = .number(Int(hops))
      facts["dscp"] = .number(Int(trafficClass >> 2))
      facts["ecn"] = .number(Int(trafficClass & 3))
      facts["identification"] = TraceReport.Fact.none
      facts["df"] = TraceReport.Fact.none
      facts["ip_checksum"] = TraceReport.Fact.none
      facts["flow_label"] = .number(flow)
    } else {
      return nil
    }
    guard let from = frame.big16(udp), let to = frame.big16(udp + 2), let length = frame.big16(udp + 4),
      let checksum = frame.big16(udp + 6),
      let flags = frame.byte(udp + 8), let high = frame.big16(udp + 12), let low = frame.byte(udp + 14)
    else { return nil }
    let vni = Int(high) << 8 | Int(low)
    text += "; UDP \(from) > \(to), length \(length), checksum " + (checksum == 0 ? "0" : "0x\(hex(checksum, 4))")
    text += "; VXLAN VNI \(vni), flags 0x\(hex(flags, 2))"
    facts["udp_source"] = .number(Int(from))
    facts["udp_destination"] = .number(Int(to))
    facts["udp_length"] = .number(Int(length))
    facts["udp_checksum"] = .number(Int(checksum))
    facts["vni"] = .number(vni)
    facts["vxlan_flags"] = .number(Int(flags))
    facts["octets"] = .text(octets.prefix(udp + 16).hexText)
    return (udp + 16, text, facts)
  }

  // -- fields -----------------------------------------------------------------------------------------------------------

  private func byte(_ offset: Int) -> UInt8? { offset >= 0 && offset < octets.count ? octets[offset] : nil }

  private func big16(_ offset: Int) -> UInt16? {
    guard let high = byte(offset), let low = byte(offset + 1) else { return nil }
    return UInt16(high) << 8 | UInt16(low)
  }

  private func number(_ offset: Int, _ count: Int) -> UInt64? {
    guard offset + count <= octets.count else { return nil }
    return octets[offset..<offset + count].reduce(0) { $0 << 8 | UInt64($1) }
  }

  private func mac(_ offset: Int) -> MACAddress? { number(offset, 6).map { MACAddress(bits: $0) } }
  private func ipv4(_ offset: Int) -> IPAddress? { number(offset, 4).map { IPAddress(ipv4: UInt32($0)) } }

  private func ipv6(_ offset: Int) -> IPAddress? {
    guard let high = number(offset, 8), let low = number(offset + 8, 8) else { return nil }
    return IPAddress(high: high, low: low)
  }
}

/// At least so many digits.
func hex(_ value: some BinaryInteger, _ digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(digits - text.count, 0)) + text
}

extension Collection<UInt8> {
  /// Two digits for each octet.
  public var hexText: String { map { hex($0, 2) }.joined() }
}
