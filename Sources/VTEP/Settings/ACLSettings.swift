// ACLSettings: access control lists (`acls`), from the configuration file, vtepctl or a controller. vtep(5), tables ACL and ACL_entry.

import Encap

/// A list of filters. The first entry that matches decides; a frame that none matches passes.
public struct ACLSettings: Equatable, Sendable {
  public var name: String
  public var entries: [ACLEntry]

  public init(name: String, entries: [ACLEntry] = []) {
    self.name = name
    self.entries = entries
  }

  /// The entries of one direction in the order in which they are asked: by sequence; of equal ones, the first in the list.
  func ordered(_ direction: ACLEntry.Direction) -> [ACLEntry] {
    entries.enumerated().filter { $0.element.direction == direction }
      .sorted { ($0.element.sequence, $0.offset) < ($1.element.sequence, $1.offset) }.map(\.element)
  }

  /// Entries of one direction, at most: what the summary of the classifier has room for (`ACLProgram`).
  public static let maximumEntries = 4096
  public static let maximumLists = 4096
}

/// One filter. Fields that are nil match every frame.
public struct ACLEntry: Hashable, Sendable {
  /// Which frames of a port or router an entry applies to.
  public enum Direction: String, CaseIterable, Sendable {
    /// Towards the logical switch or router.
    case ingress
    /// Away from it.
    case egress
  }

  public enum Action: String, CaseIterable, Sendable { case permit, deny }

  /// Bits that are not in the mask may have any value.
  public struct MaskedMAC: Hashable, Sendable {
    public var address: MACAddress
    public var mask: MACAddress

    public init(_ address: MACAddress, mask: MACAddress = .broadcast) {
      self.address = MACAddress(bits: address.bits & mask.bits)
      self.mask = mask
    }
  }

  /// Both of one family. The mask need not be a prefix.
  public struct MaskedAddress: Hashable, Sendable {
    public var address: IPAddress
    public var mask: IPAddress

    /// Nil: address and mask are of different families.
    public init?(_ address: IPAddress, mask: IPAddress? = nil) {
      let mask = mask ?? (address.isIPv4 ? IPAddress(ipv4: .max) : IPAddress(high: .max, low: .max))
      guard address.isIPv4 == mask.isIPv4 else { return nil }
      self.address =
        address.isIPv4
        ? IPAddress(ipv4: address.ipv4 & mask.ipv4) : IPAddress(high: address.high & mask.high, low: address.low & mask.low)
      self.mask = mask
    }
  }

  /// Twelve bits: FIN is the lowest (RFC 9293 section 3.1).
  public struct TCPFlags: Hashable, Sendable {
    public var value: UInt16
    public var mask: UInt16

    public init(_ value: UInt16, mask: UInt16 = TCPFlags.all) {
      self.value = value & mask & Self.all
      self.mask = mask & Self.all
    }

    public static let all: UInt16 = 0xfff
  }

  /// Lower ones are asked first.
  public var sequence: Int64
  public var direction: Direction
  public var action: Action
  public var sourceMAC: MaskedMAC?
  public var destinationMAC: MaskedMAC?
  /// Behind VLAN tags.
  public var etherType: UInt16?
  public var source: MaskedAddress?
  public var destination: MaskedAddress?
  /// Of IPv6, behind extension headers.
  public var protocolNumber: UInt8?
  public var sourcePorts: ClosedRange<UInt16>?
  public var destinationPorts: ClosedRange<UInt16>?
  public var tcpFlags: TCPFlags?
  public var icmpType: UInt8?
  public var icmpCode: UInt8?

  public init(sequence: Int64, direction: Direction, action: Action) {
    self.sequence = sequence
    self.direction = direction
    self.action = action
  }
}

extension ACLEntry {
  /// The keys of its fields in the configuration file.
  public enum Key: String, CaseIterable, Sendable {
    case sequence, direction, action
    case sourceMAC = "source-mac"
    case destinationMAC = "destination-mac"
    case etherType = "ethertype"
    case source = "source-ip"
    case destination = "destination-ip"
    case protocolNumber = "protocol"
    case sourcePorts = "source-ports"
    case destinationPorts = "destination-ports"
    case tcpFlags = "tcp-flags"
    case icmpType = "icmp-type"
    case icmpCode = "icmp-code"
  }

  /// Asks for something of an IP header.
  var needsIP: Bool { source != nil || destination != nil || protocolNumber != nil }

  /// The family that its addresses and its EtherType leave; nil: any.
  var isIPv4: Bool? {
    (source ?? destination).map(\.address.isIPv4) ?? (etherType == EtherType.ipv4 ? true : etherType == EtherType.ipv6 ? false : nil)
  }

  /// Why no frame could match, or nobody could tell which: the key that is to blame, and one sentence without a full stop.
  public var contradiction: (key: Key, message: String)? {
    let type = "ethertype \(etherType.map(Self.text(etherType:)) ?? "")"
    if let etherType {
      if EtherType.isTag(etherType) {
        return (.etherType, "\(type) is a VLAN tag's, and entries look behind tags; bind the ACL to the VLAN")
      }
      if etherType < 0x600 { return (.etherType, "\(type) is below 0x0600: a length, and no EtherType") }
      if needsIP, etherType != EtherType.ipv4, etherType != EtherType.ipv6 {
        return (.etherType, "\(type) is neither 0x0800 nor 0x86dd, and other fields are of IP packets")
      }
    }
    if let source, let destination, source.address.isIPv4 != destination.address.isIPv4 {
      return (.destination, "source-ip is \(source.address.familyName) and destination-ip is \(destination.address.familyName)")
    }
    if let address = source ?? destination, let etherType, (etherType == EtherType.ipv4) != address.address.isIPv4 {
      return (.etherType, "\(type) and \(address.address.familyName) addresses contradict each other")
    }
    if sourcePorts != nil || destinationPorts != nil, !Self.portProtocols.contains(protocolNumber ?? 0) {
      let key = sourcePorts != nil ? Key.sourcePorts : .destinationPorts
      return (key, "ports need protocol tcp (6), udp (17), dccp (33), sctp (132) or udplite (136)")
    }
    if tcpFlags != nil, protocolNumber != 6 { return (.tcpFlags, "tcp-flags need protocol tcp (6)") }
    if icmpType != nil || icmpCode != nil, protocolNumber != 1, protocolNumber != 58 {
      return (icmpType != nil ? .icmpType : .icmpCode, "icmp-type and icmp-code need protocol icmp (1) or icmpv6 (58)")
    }
    if protocolNumber == 1, isIPv4 == false { return (.protocolNumber, "protocol icmp (1) is of IPv4; of IPv6 it is icmpv6 (58)") }
    if protocolNumber == 58, isIPv4 == true { return (.protocolNumber, "protocol icmpv6 (58) is of IPv6; of IPv4 it is icmp (1)") }
    return nil
  }

  private static let portProtocols: Set<UInt8> = [6, 17, 33, 132, 136]
}

extension ACLSettings {
  /// All that is wrong with the list, for the configuration file and for vtepctl.
  func problems(key: String) -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) { problems.append(DesiredState.Problem(.acl(key), path, message)) }
    if !(1...63).contains(name.utf8.count) || name.contains(where: { $0.isWhitespace || $0.isNewline }) {
      report(["name"], "name '\(name)' is not 1 to 63 characters without blanks")
    }
    for direction in ACLEntry.Direction.allCases {
      let entries = entries.filter { $0.direction == direction }
      if entries.count > Self.maximumEntries {
        report(["entries"], "at most \(Self.maximumEntries) \(direction.rawValue) entries, not \(entries.count)")
      }
      var seen: Set<Int64> = []
      for entry in entries {
        let path = entry.path
        if !seen.insert(entry.sequence).inserted {
          report(path + ["sequence"], "\(direction.rawValue) entry \(entry.sequence) is given twice")
        }
        if let (key, message) = entry.contradiction {
          report(path + [key.rawValue], "\(direction.rawValue) entry \(entry.sequence): \(message)")
        }
      }
    }
    return problems
  }
}

extension ACLEntry {
  /// Where the entry is in the configuration file.
  public var path: [String] { ["entries", "\(direction.rawValue) \(sequence)"] }
}
