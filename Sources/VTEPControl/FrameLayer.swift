// FrameLayer: a frame in words, header by header: Ethernet, VLAN tags, ARP, IPv4, IPv6, TCP, UDP, ICMP, and VXLAN with the frame inside.
// For people and scripts (`show drops --frames`, `trace`); forwarding has its own parsers. Headers may be cut short or contradict each other: what can be read is told.

import Glibc

/// A header of a frame.
public struct FrameLayer: Codable, Equatable, Sendable {
  /// Of the protocol: `Ethernet`, `VLAN`, `IPv4`, `UDP`, `VXLAN` …
  public var name: String
  /// In one line.
  public var text: String
  /// By name: addresses, ports, flags. Numbers are decimal, or hexadecimal behind `0x`.
  public var fields: [String: String]
  /// Octets of the frame in front of it.
  public var offset: Int

  /// The headers of a frame, outermost first.
  ///
  /// - Parameters:
  ///   - octets: its beginning.
  ///   - vxlanPort: UDP destination port behind which VXLAN is expected.
  public static func dissect(_ octets: [UInt8], vxlanPort: UInt16) -> [FrameLayer] {
    var dissection = Dissection(octets: octets, vxlanPort: vxlanPort)
    dissection.ethernet(at: 0, isInner: false)
    return dissection.layers
  }
}

private struct Dissection {
  let octets: [UInt8]
  let vxlanPort: UInt16
  var layers: [FrameLayer] = []

  init(octets: [UInt8], vxlanPort: UInt16) {
    self.octets = octets
    self.vxlanPort = vxlanPort
  }

  // -- what all use -------------------------------------------------------------------------------------------------------

  /// Whether `count` octets are there; if not, the layer says so and is the last.
  private mutating func has(_ count: Int, at offset: Int, _ name: String) -> Bool {
    guard octets.count < offset + count else { return true }
    let left = max(octets.count - offset, 0)
    add(name, "cut short: \(left) of \(count) octets", [:], at: offset)
    return false
  }

  private mutating func add(_ name: String, _ text: String, _ fields: [String: String], at offset: Int) {
    layers.append(FrameLayer(name: name, text: text, fields: fields, offset: offset))
  }

  private func number(_ offset: Int, _ count: Int) -> UInt32 { octets[offset..<offset + count].reduce(0) { $0 << 8 | UInt32($1) } }

  private func mac(_ offset: Int) -> String { (0..<6).map { [octets[offset + $0]].hexDigits }.joined(separator: ":") }

  private func address(_ offset: Int, _ family: Int32) -> String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let found = octets[offset..<offset + (family == AF_INET ? 4 : 16)].withUnsafeBytes {
      inet_ntop(family, $0.baseAddress, &text, socklen_t(text.count))
    }
    return found == nil ? "?" : String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func hex(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: max(digits - text.count, 0)) + text
  }

  // -- Ethernet, IEEE 802.3 and 802.1Q ------------------------------------------------------------------------------------

  mutating func ethernet(at start: Int, isInner: Bool) {
    let name = isInner ? "Ethernet, inner" : "Ethernet"
    guard has(14, at: start, name) else { return }
    var type = number(start + 12, 2)
    var offset = start + 14
    add(
      name, "\(mac(start + 6)) > \(mac(start)), \(Self.typeName(type))",
      ["source": mac(start + 6), "destination": mac(start), "type": Self.hex(type, digits: 4)], at: start)
    while type == 0x8100 || type == 0x88a8 {
      guard has(4, at: offset, "VLAN") else { return }
      let tag = number(offset, 2)
      let inner = number(offset + 2, 2)
      let drop = tag & 0x1000 != 0 ? ", drop eligible" : ""
      add(
        "VLAN", "\(tag & 0xfff), priority \(tag >> 13)\(drop), TPID \(Self.hex(type, digits: 4)), \(Self.typeName(inner))",
        ["vlan": "\(tag & 0xfff)", "priority": "\(tag >> 13)", "tpid": Self.hex(type, digits: 4), "type": Self.hex(inner, digits: 4)],
        at: offset)
      type = inner
      offset += 4
    }
    switch type {
    case 0x0806: arp(at: offset)
    case 0x0800: ipv4(at: offset)
    case 0x86dd: ipv6(at: offset)
    default: break
    }
  }

  private static func typeName(_ type: UInt32) -> String {
    switch type {
    case 0x0800: "IPv4"
    case 0x86dd: "IPv6"
    case 0x0806: "ARP"
    case 0x8035: "RARP"
    case 0x8100, 0x88a8: "VLAN tag"
    case 0x88cc: "LLDP"
    case 0x8808: "MAC control"
    case 0x8809: "slow protocols (LACP)"
    case ..<0x0600: "length \(type)"
    default: "type \(hex(type, digits: 4))"
    }
  }

  /// RFC 826.
  private mutating func arp(at start: Int) {
    guard has(28, at: start, "ARP") else { return }
    guard number(start, 4) == 0x0001_0800, number(start + 4, 2) == 0x0604 else {
      add("ARP", "not for IPv4 on Ethernet", [:], at: start)
      return
    }
    let operation = number(start + 6, 2)
    let (sender, target) = (address(start + 14, AF_INET), address(start + 24, AF_INET))
    let text =
      switch operation {
      case 1: sender == target ? "announcement of \(sender) at \(mac(start + 8))" : "who has \(target)? tell \(sender) (\(mac(start + 8)))"
      case 2: "\(sender) is at \(mac(start + 8))"
      default: "operation \(operation)"
      }
    add(
      "ARP", text,
      [
        "operation": "\(operation)", "sender_mac": mac(start + 8), "sender": sender, "target_mac": mac(start + 18), "target": target,
      ], at: start)
  }

  // -- IP -----------------------------------------------------------------------------------------------------------------

  /// RFC 791.
  private mutating func ipv4(at start: Int) {
    guard has(20, at: start, "IPv4") else { return }
    let headerByteCount = Int(octets[start] & 15) * 4
    let fragment = number(start + 6, 2)
    let (source, destination) = (address(start + 12, AF_INET), address(start + 16, AF_INET))
    let protocolNumber = octets[start + 9]
    var text = "\(source) > \(destination), \(Self.protocolName(protocolNumber)), TTL \(octets[start + 8]), length \(number(start + 2, 2))"
    if octets[start + 1] != 0 { text += ", TOS \(Self.hex(UInt32(octets[start + 1]), digits: 2))" }
    if fragment & 0x4000 != 0 { text += ", DF" }
    if fragment & 0x3fff != 0 { text += ", fragment at \((fragment & 0x1fff) * 8)\(fragment & 0x2000 != 0 ? ", more follow" : "")" }
    if octets[start] >> 4 != 4 || headerByteCount < 20 {
      text += ", malformed (version \(octets[start] >> 4), header of \(headerByteCount) octets)"
    }
    add(
      "IPv4", text,
      [
        "source": source, "destination": destination, "protocol": "\(protocolNumber)", "ttl": "\(octets[start + 8])",
        "tos": "\(octets[start + 1])", "length": "\(number(start + 2, 2))", "id": "\(number(start + 4, 2))",
        "fragment": Self.hex(fragment, digits: 4), "checksum": Self.hex(number(start + 10, 2), digits: 4),
      ], at: start)
    guard octets[start] >> 4 == 4, headerByteCount >= 20, fragment & 0x1fff == 0 else { return }
    transport(protocolNumber, at: start + headerByteCount)
  }

  /// RFC 8200.
  private mutating func ipv6(at start: Int) {
    guard has(40, at: start, "IPv6") else { return }
    let word = number(start, 4)
    let (source, destination) = (address(start + 8, AF_INET6), address(start + 24, AF_INET6))
    var next = octets[start + 6]
    var text = "\(source) > \(destination), \(Self.protocolName(next)), hop limit \(octets[start + 7]), length \(number(start + 4, 2))"
    if word >> 20 & 0xff != 0 { text += ", traffic class \(Self.hex(word >> 20 & 0xff, digits: 2))" }
    if word & 0xfffff != 0 { text += ", flow label \(Self.hex(word & 0xfffff, digits: 5))" }
    if word >> 28 != 6 { text += ", malformed (version \(word >> 28))" }
    add(
      "IPv6", text,
      [
        "source": source, "destination": destination, "protocol": "\(next)", "hop_limit": "\(octets[start + 7])",
        "traffic_class": "\(word >> 20 & 0xff)", "flow_label": Self.hex(word & 0xfffff, digits: 5), "length": "\(number(start + 4, 2))",
      ], at: start)
    var offset = start + 40
    // Hop-by-hop, routing, destination options; fragment.
    while word >> 28 == 6, [0, 43, 60, 44].contains(next) {
      guard has(8, at: offset, Self.protocolName(next)) else { return }
      let byteCount = next == 44 ? 8 : 8 + Int(octets[offset + 1]) * 8
      let fragment = next == 44 ? number(offset + 2, 2) : 0
      let place = "at \(fragment & 0xfff8)" + (fragment & 1 != 0 ? ", more follow" : "")
      add(Self.protocolName(next), next == 44 ? place : "\(byteCount) octets", [:], at: offset)
      if fragment & 0xfff8 != 0 { return }
      next = octets[offset]
      offset += byteCount
    }
    transport(next, at: offset)
  }

  private static func protocolName(_ number: UInt8) -> String {
    switch number {
    case 0: "hop-by-hop options"
    case 1: "ICMP"
    case 2: "IGMP"
    case 6: "TCP"
    case 17: "UDP"
    case 43: "routing header"
    case 44: "fragment header"
    case 47: "GRE"
    case 50: "ESP"
    case 58: "ICMPv6"
    case 59: "nothing"
    case 60: "destination options"
    case 89: "OSPF"
    case 112: "VRRP"
    case 132: "SCTP"
    default: "protocol \(number)"
    }
  }

  // -- transport ----------------------------------------------------------------------------------------------------------

  private mutating func transport(_ number: UInt8, at start: Int) {
    switch number {
    case 1: icmp("ICMP", at: start)
    case 58: icmp("ICMPv6", at: start)
    case 6: tcp(at: start)
    case 17: udp(at: start)
    default: break
    }
  }

  private mutating func icmp(_ name: String, at start: Int) {
    guard has(4, at: start, name) else { return }
    let (type, code) = (octets[start], octets[start + 1])
    let meanings: [UInt8: String] =
      name == "ICMP"
      ? [0: "echo reply", 3: "destination unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"]
      : [
        1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request", 129: "echo reply",
        130: "MLD query", 131: "MLD report", 133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation",
        136: "neighbor advertisement", 137: "redirect", 143: "MLDv2 report",
      ]
    add(name, "\(meanings[type] ?? "type \(type)"), code \(code)", ["type": "\(type)", "code": "\(code)"], at: start)
  }

  /// RFC 9293.
  private mutating func tcp(at start: Int) {
    guard has(20, at: start, "TCP") else { return }
    let names: [(UInt8, String)] = [
      (0x02, "SYN"), (0x10, "ACK"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x20, "URG"), (0x40, "ECE"), (0x80, "CWR"),
    ]
    let flags = names.filter { octets[start + 13] & $0.0 != 0 }.map(\.1).joined(separator: " ")
    add(
      "TCP",
      "\(number(start, 2)) > \(number(start + 2, 2)), \(flags.isEmpty ? "no flags" : flags), sequence \(number(start + 4, 4)), "
        + "acknowledgement \(number(start + 8, 4)), window \(number(start + 14, 2))",
      [
        "source_port": "\(number(start, 2))", "destination_port": "\(number(start + 2, 2))", "flags": flags,
        "sequence": "\(number(start + 4, 4))", "acknowledgement": "\(number(start + 8, 4))",
      ], at: start)
  }

  /// RFC 768; RFC 7348 section 5 behind it.
  private mutating func udp(at start: Int) {
    guard has(8, at: start, "UDP") else { return }
    let destination = number(start + 2, 2)
    add(
      "UDP", "\(number(start, 2)) > \(destination), length \(number(start + 4, 2)), checksum \(Self.hex(number(start + 6, 2), digits: 4))",
      [
        "source_port": "\(number(start, 2))", "destination_port": "\(destination)", "length": "\(number(start + 4, 2))",
        "checksum": Self.hex(number(start + 6, 2), digits: 4),
      ], at: start)
    // One level is what there can be; a frame in a frame in a frame would be a guest's own tunnel.
    guard destination == UInt32(vxlanPort), !layers.contains(where: { $0.name == "VXLAN" }) else { return }
    guard has(8, at: start + 8, "VXLAN") else { return }
    let (flags, vni) = (octets[start + 8], number(start + 12, 3))
    add(
      "VXLAN", "VNI \(vni), flags \(Self.hex(UInt32(flags), digits: 2))\(flags & 8 == 0 ? " (the I flag is missing)" : "")",
      ["vni": "\(vni)", "flags": Self.hex(UInt32(flags), digits: 2)], at: start + 8)
    if flags & 8 != 0 { ethernet(at: start + 16, isInner: true) }
  }
}
