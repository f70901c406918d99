// ACLEntry+Text: the text forms of an entry's fields, for the configuration file, vtepctl and reports: `10.0.0.0/8`, `1024-65535`,
// `+syn-ack`.

import Encap

extension ACLEntry.MaskedMAC: LosslessStringConvertible {
  /// `02:00:00:00:00:21`, or with a mask `02:00:00:00:00:00/ff:00:00:00:00:00`.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = MACAddress(String(parts[0])) else { return nil }
    guard parts.count == 2 else {
      self.init(address)
      return
    }
    guard let mask = MACAddress(String(parts[1])) else { return nil }
    self.init(address, mask: mask)
  }

  public var description: String { mask == .broadcast ? "\(address)" : "\(address)/\(mask)" }
}

extension ACLEntry.MaskedAddress: LosslessStringConvertible {
  /// `192.0.2.1`, `192.0.2.0/24`, `192.0.2.0/255.255.0.255`, and the same for IPv6.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
    guard parts.count == 2 else {
      self.init(address)
      return
    }
    if let mask = IPAddress(String(parts[1])) {
      self.init(address, mask: mask)
    } else {
      guard let length = Int(parts[1]), String(length) == parts[1], let mask = Self.mask(length, isIPv4: address.isIPv4) else { return nil }
      self.init(address, mask: mask)
    }
  }

  /// With the length of the mask if it is a prefix.
  public var description: String {
    let width = address.isIPv4 ? 32 : 128
    guard let length = (0...width).first(where: { Self.mask($0, isIPv4: address.isIPv4) == mask }) else { return "\(address)/\(mask)" }
    return length == width ? "\(address)" : "\(address)/\(length)"
  }

  private static func mask(_ length: Int, isIPv4: Bool) -> IPAddress? {
    guard (0...(isIPv4 ? 32 : 128)).contains(length) else { return nil }
    if isIPv4 { return IPAddress(ipv4: ~(UInt32.max >> UInt32(length))) }
    return IPAddress(high: ~(UInt64.max >> UInt64(min(length, 64))), low: ~(UInt64.max >> UInt64(max(length - 64, 0))))
  }
}

extension ACLEntry.TCPFlags: LosslessStringConvertible {
  private static let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"]

  /// `+syn-ack`: SYN is set and ACK is not; or the bits as a number, `0x02`, if need be with a mask, `0x02/0x12`.
  public init?(_ text: String) {
    if let first = text.first, first == "+" || first == "-" {
      var (value, mask): (UInt16, UInt16) = (0, 0)
      var rest = text[...]
      while let sign = rest.popFirst() {
        let name = rest.prefix { $0 != "+" && $0 != "-" }
        rest = rest.dropFirst(name.count)
        guard let bit = Self.names.firstIndex(of: name.lowercased()), mask & 1 << UInt16(bit) == 0 else { return nil }
        mask |= 1 << UInt16(bit)
        if sign == "+" { value |= 1 << UInt16(bit) }
      }
      self.init(value, mask: mask)
      return
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { UInt16(number: $0) }
    guard parts.count <= 2, let value = parts[0], value <= Self.all, let mask = parts.count == 2 ? parts[1] : Self.all, mask <= Self.all
    else { return nil }
    self.init(value, mask: mask)
  }

  public var description: String {
    let bits = ACLEntry.hex(value, digits: 3)
    guard mask != Self.all else { return bits }
    guard mask != 0, mask >> UInt16(Self.names.count) == 0 else { return "\(bits)/\(ACLEntry.hex(mask, digits: 3))" }
    return Self.names.enumerated().filter { mask & 1 << UInt16($0.offset) != 0 }
      .map { (value & 1 << UInt16($0.offset) != 0 ? "+" : "-") + $0.element }.joined()
  }
}

extension ACLEntry {
  /// `80`, or `1024-65535`.
  public static func ports(_ text: String) -> ClosedRange<UInt16>? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count <= 2, let low = UInt16(parts[0]), let high = UInt16(parts[parts.count - 1]), low <= high else { return nil }
    return low...high
  }

  public static func text(_ ports: ClosedRange<UInt16>) -> String {
    ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
  }

  private static let protocols: [(name: String, number: UInt8)] = [
    ("icmp", 1), ("igmp", 2), ("tcp", 6), ("udp", 17), ("dccp", 33), ("gre", 47), ("esp", 50), ("ah", 51), ("icmpv6", 58), ("ospf", 89),
    ("vrrp", 112), ("sctp", 132), ("udplite", 136),
  ]

  /// A number, or a name such as `tcp`.
  public static func protocolNumber(_ text: String) -> UInt8? { UInt8(text) ?? protocols.first { $0.name == text.lowercased() }?.number }

  public static func text(protocolNumber: UInt8) -> String {
    protocols.first { $0.number == protocolNumber }?.name ?? "\(protocolNumber)"
  }

  /// `0x0800`.
  public static func etherType(_ text: String) -> UInt16? {
    guard text.hasPrefix("0x") || text.hasPrefix("0X") else { return nil }
    return UInt16(number: text[...])
  }

  public static func text(etherType: UInt16) -> String { hex(etherType, digits: 4) }

  fileprivate static func hex(_ value: UInt16, digits: Int) -> String {
    let text = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: max(digits - text.count, 0)) + text
  }

  /// Sets what it matches, from text.
  ///
  /// - Returns: whether the text is what `Key.form` says.
  public mutating func set(_ key: Key, _ text: String) -> Bool {
    func store<Value>(_ value: Value?, _ path: WritableKeyPath<ACLEntry, Value?>) -> Bool {
      self[keyPath: path] = value
      return value != nil
    }
    switch key {
    case .sequence, .direction, .action: return false
    case .sourceMAC: return store(MaskedMAC(text), \.sourceMAC)
    case .destinationMAC: return store(MaskedMAC(text), \.destinationMAC)
    case .etherType: return store(Self.etherType(text), \.etherType)
    case .source: return store(MaskedAddress(text), \.source)
    case .destination: return store(MaskedAddress(text), \.destination)
    case .protocolNumber: return store(Self.protocolNumber(text), \.protocolNumber)
    case .sourcePorts: return store(Self.ports(text), \.sourcePorts)
    case .destinationPorts: return store(Self.ports(text), \.destinationPorts)
    case .tcpFlags: return store(TCPFlags(text), \.tcpFlags)
    case .icmpType: return store(UInt8(text), \.icmpType)
    case .icmpCode: return store(UInt8(text), \.icmpCode)
    }
  }

  /// What it matches, in the words of the file: `protocol tcp, destination-ports 22`; empty: everything.
  public var matches: [(key: Key, text: String)] {
    let all: [(Key, String?)] = [
      (.sourceMAC, sourceMAC.map { "\($0)" }), (.destinationMAC, destinationMAC.map { "\($0)" }),
      (.etherType, etherType.map(Self.text(etherType:))), (.source, source.map { "\($0)" }), (.destination, destination.map { "\($0)" }),
      (.protocolNumber, protocolNumber.map(Self.text(protocolNumber:))), (.sourcePorts, sourcePorts.map(Self.text)),
      (.destinationPorts, destinationPorts.map(Self.text)), (.tcpFlags, tcpFlags.map { "\($0)" }),
      (.icmpType, icmpType.map { "\($0)" }), (.icmpCode, icmpCode.map { "\($0)" }),
    ]
    return all.compactMap { key, text in text.map { (key, $0) } }
  }

  /// `protocol tcp, destination-ports 22`.
  public var matchText: String {
    let matches = matches
    return matches.isEmpty ? "everything" : matches.map { "\($0.key.rawValue) \($0.text)" }.joined(separator: ", ")
  }

  /// `deny protocol tcp, destination-ports 22`.
  public var text: String { "\(action.rawValue) \(matchText)" }
}

extension ACLEntry.Key {
  /// Those of what an entry matches.
  public static let matches = allCases.filter { ![.sequence, .direction, .action].contains($0) }

  /// What its value must be.
  public var form: String {
    switch self {
    case .sequence: "a whole number"
    case .direction: "ingress or egress"
    case .action: "permit or deny"
    case .sourceMAC, .destinationMAC: "a MAC address, if need be with a mask, such as 02:00:00:00:00:00/ff:00:00:00:00:00"
    case .etherType: "an EtherType in hexadecimal, such as 0x0806"
    case .source, .destination: "an IPv4 or IPv6 address, if need be with a prefix length or a mask, such as 192.0.2.0/24"
    case .protocolNumber: "a number from 0 to 255, or a name such as tcp"
    case .sourcePorts, .destinationPorts: "a port or a range of ports, such as 80 or 1024-65535"
    case .tcpFlags: "flags such as +syn-ack, or bits with a mask such as 0x02/0x12"
    case .icmpType, .icmpCode: "a number from 0 to 255"
    }
  }
}

extension UInt16 {
  /// In decimal digits, or in hexadecimal ones behind `0x`.
  fileprivate init?(number text: Substring) {
    let isHex = text.hasPrefix("0x") || text.hasPrefix("0X")
    guard text.first?.isHexDigit == true, let value = UInt16(isHex ? text.dropFirst(2) : text, radix: isHex ? 16 : 10),
      !isHex || text.dropFirst(2).first != "+"
    else { return nil }
    self = value
  }
}
