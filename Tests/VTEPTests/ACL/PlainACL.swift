// The model of access control lists: an entry asked field by field, on a frame taken apart octet by octet. Nothing here comes from the
// code under test but the settings.

import Encap

@testable import VTEP

/// What a list may ask of a frame; nil: the frame does not have it.
struct PlainFrame {
  var source = MACAddress.zero
  var destination = MACAddress.zero
  var etherType: UInt16 = 0
  var addresses: (source: IPAddress, destination: IPAddress)?
  var protocolNumber: UInt8?
  var ports: (source: UInt16, destination: UInt16)?
  var tcpFlags: UInt16?
  var icmp: (type: UInt8, code: UInt8)?

  init(_ frame: Frame) {
    destination = MACAddress(bits: frame[0..<6].reduce(0) { $0 << 8 | UInt64($1) })
    source = MACAddress(bits: frame[6..<12].reduce(0) { $0 << 8 | UInt64($1) })
    var rest = Array(frame[12...])
    var tags = 0
    while rest.count >= 2, [0x8100, 0x88a8].contains(rest.big16(at: 0)), tags < 2 {
      // A frame that ends in its tag has no EtherType.
      guard rest.count >= 6 else { return }
      rest.removeFirst(4)
      tags += 1
    }
    etherType = rest.big16(at: 0)
    let packet = Array(rest.dropFirst(2))
    if etherType == 0x0800 { readIPv4(packet) } else if etherType == 0x86dd { readIPv6(packet) }
  }

  private mutating func readIPv4(_ packet: [UInt8]) {
    guard packet.count >= 20, packet[0] >> 4 == 4 else { return }
    let headerByteCount = Int(packet[0] & 15) * 4
    guard headerByteCount >= 20, packet.count >= headerByteCount else { return }
    addresses = (IPAddress(bytes: Array(packet[12..<16]))!, IPAddress(bytes: Array(packet[16..<20]))!)
    protocolNumber = packet[9]
    if packet.big16(at: 6) & 0x1fff == 0 { readTransport(packet[9], Array(packet[headerByteCount...]), icmp: 1) }
  }

  private mutating func readIPv6(_ packet: [UInt8]) {
    guard packet.count >= 40, packet[0] >> 4 == 6 else { return }
    func address(_ octets: ArraySlice<UInt8>) -> IPAddress {
      IPAddress(
        high: octets.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, low: octets.suffix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }
    addresses = (address(packet[8..<24]), address(packet[24..<40]))
    var next = packet[6]
    var rest = Array(packet[40...])
    for _ in 0..<9 {
      guard [0, 43, 44, 51, 60].contains(next) else {
        protocolNumber = next
        readTransport(next, rest, icmp: 58)
        return
      }
      let isFragment = next == 44
      protocolNumber = next
      guard rest.count >= 8 else { return }
      let byteCount = isFragment ? 8 : next == 51 ? (Int(rest[1]) + 2) * 4 : (Int(rest[1]) + 1) * 8
      let isLater = isFragment && rest.big16(at: 2) >> 3 != 0
      // Nothing behind the eighth header is known.
      if headers == 8 { return }
      headers += 1
      next = rest[0]
      protocolNumber = next
      guard rest.count >= byteCount, !isLater else { return }
      rest = Array(rest[byteCount...])
    }
  }

  private var headers = 0

  private mutating func readTransport(_ number: UInt8, _ octets: [UInt8], icmp icmpNumber: UInt8) {
    if [6, 17, 33, 132, 136].contains(number), octets.count >= 4 {
      ports = (octets.big16(at: 0), octets.big16(at: 2))
      if number == 6, octets.count >= 14 { tcpFlags = octets.big16(at: 12) & 0xfff }
    }
    if number == icmpNumber, octets.count >= 2 { icmp = (octets[0], octets[1]) }
  }
}

extension ACLEntry {
  func agrees(with frame: PlainFrame) -> Bool {
    func matches(_ field: MaskedMAC?, _ mac: MACAddress) -> Bool {
      field.map { mac.bits & $0.mask.bits == $0.address.bits & $0.mask.bits } ?? true
    }
    func matches(_ field: MaskedAddress?, _ address: IPAddress?) -> Bool {
      guard let field else { return true }
      guard let address, address.isIPv4 == field.address.isIPv4 else { return false }
      return zip(zip(address.bytes, field.address.bytes), field.mask.bytes).allSatisfy { $0.0 & $1 == $0.1 & $1 }
    }
    guard matches(sourceMAC, frame.source), matches(destinationMAC, frame.destination) else { return false }
    guard etherType == nil || etherType == frame.etherType else { return false }
    guard matches(source, frame.addresses?.source), matches(destination, frame.addresses?.destination) else { return false }
    guard protocolNumber == nil || protocolNumber == frame.protocolNumber else { return false }
    guard sourcePorts == nil || frame.ports.map({ sourcePorts!.contains($0.source) }) == true else { return false }
    guard destinationPorts == nil || frame.ports.map({ destinationPorts!.contains($0.destination) }) == true else { return false }
    guard tcpFlags == nil || frame.tcpFlags.map({ $0 & tcpFlags!.mask == tcpFlags!.value & tcpFlags!.mask }) == true else { return false }
    guard icmpType == nil || frame.icmp?.type == icmpType else { return false }
    return icmpCode == nil || frame.icmp?.code == icmpCode
  }
}

/// Random lists and frames whose values come from few, so that they often meet.
struct RandomACL {
  var random: SeededRandom

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
  mutating func number<Value: FixedWidthInteger>(_ range: ClosedRange<Value>) -> Value { .random(in: range, using: &random) }
  mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }

  mutating func mac() -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | (chance(50) ? 0 : 0x0000_3300_0000) | number(0...7)) }

  mutating func address(isIPv4: Bool) -> IPAddress {
    if isIPv4 { return IPAddress(ipv4: 0x0a00_0000 | number(0...3) << 16 | number(0...3) << 8 | number(0...7)) }
    return IPAddress(high: 0x2001_0db8_0000_0000 | number(0...3), low: number(0...3) << 48 | number(0...7))
  }

  mutating func port() -> UInt16 { chance(50) ? pick([22, 53, 80, 443, 1024, 65535]) : number(0...UInt16.max) }

  mutating func settings() -> ACLSettings {
    let count = chance(10) ? number(500...1000) : chance(20) ? 1 : number(1...80)
    var acl = ACLSettings(name: "a")
    for _ in 0..<count {
      let entry = entry()
      if entry.contradiction == nil { acl.entries.append(entry) }
    }
    return acl
  }

  private mutating func entry() -> ACLEntry {
    var entry = ACLEntry(sequence: number(0...500), direction: .ingress, action: chance(50) ? .permit : .deny)
    if chance(25) { entry.sourceMAC = maskedMAC() }
    if chance(25) { entry.destinationMAC = maskedMAC() }
    let isIPv4 = chance(60)
    if chance(20) { entry.etherType = pick([0x0800, 0x86dd, 0x0806, 0x88cc]) }
    if chance(50) { entry.source = masked(isIPv4) }
    if chance(50) { entry.destination = masked(isIPv4) }
    if chance(60) { entry.protocolNumber = pick([6, 6, 17, 132, 33, 136, 1, 58, 47, 89]) }
    if chance(20) { entry.sourcePorts = range() }
    if chance(40) { entry.destinationPorts = range() }
    if chance(20) { entry.tcpFlags = ACLEntry.TCPFlags(number(0...0xfff), mask: pick([0xfff, 0x12, 0x02, 0x17, 0, 0xf3a])) }
    if chance(20) { entry.icmpType = pick([0, 8, 128, 135]) }
    if chance(10) { entry.icmpCode = number(0...1) }
    return entry
  }

  private mutating func maskedMAC() -> ACLEntry.MaskedMAC {
    let masks = [0xffff_ffff_ffff, 0xffff_0000_0000, 1, number(0...(1 << 48 - 1))] as [UInt64]
    return ACLEntry.MaskedMAC(mac(), mask: MACAddress(bits: pick(masks)))
  }

  private mutating func masked(_ isIPv4: Bool) -> ACLEntry.MaskedAddress {
    let address = address(isIPv4: isIPv4)
    if chance(40) { return ACLEntry.MaskedAddress(address)! }
    let masks: [UInt32] = [0xffff_ff00, 0xffff_0000, 0xff00_0000, 0, 0x0000_0007, 0xff00_ff01]
    if isIPv4 { return ACLEntry.MaskedAddress(address, mask: IPAddress(ipv4: pick(masks)))! }
    let mask = pick([
      IPAddress(high: .max, low: 0), IPAddress(high: 0xffff_ffff_ffff_0000, low: 0), IPAddress(high: .max, low: 0xffff << 48),
      IPAddress(high: 1, low: 3),
    ])
    return ACLEntry.MaskedAddress(address, mask: mask)!
  }

  private mutating func range() -> ClosedRange<UInt16> {
    let (first, second) = (port(), port())
    return chance(40) ? first...first : min(first, second)...max(first, second)
  }

  /// A frame of any kind, sometimes cut.
  mutating func frame() -> Frame {
    var frame: Frame = .octets(mac()) + .octets(mac())
    for _ in 0..<(chance(70) ? 0 : number(1...3)) { frame += .big16(pick([0x8100, 0x88a8])) + .big16(number(0...0xfff)) }
    switch number(0...9) {
    case 0: frame += .big16(pick([0x0806, 0x88cc, 0x0800, 0x86dd])) + (0..<number(0...60)).map { _ in number(0...255) }
    case 1...5: frame += .big16(0x0800) + ipv4()
    default: frame += .big16(0x86dd) + ipv6()
    }
    while frame.count < 14 { frame.append(0) }
    if chance(15) { frame = Array(frame.prefix(number(14...max(frame.count, 14)))) }
    return frame
  }

  private mutating func ipv4() -> [UInt8] {
    let options = chance(80) ? 0 : number(0...10)
    let kind = pick([6, 6, 6, 17, 17, 1, 58, 132, 33, 136, 47] as [UInt8])
    let fragment: UInt16 = chance(80) ? 0x4000 : pick([0x2000, 0x2001, 0x00b9, 0x1fff])
    let start = chance(97) ? 0x45 + UInt8(options) : number(0...255)
    let header: [UInt8] = [start, 0, 0, 60, 0, 1] + .big16(fragment) + [64, kind, 0, 0]
    let addresses = address(isIPv4: true).bytes + address(isIPv4: true).bytes
    return header + addresses + [UInt8](repeating: 1, count: options * 4) + transport(kind)
  }

  private mutating func ipv6() -> [UInt8] {
    let last = pick([6, 6, 6, 17, 17, 58, 1, 132, 33, 136, 59] as [UInt8])
    let chain = (0..<(chance(60) ? 0 : chance(80) ? number(1...3) : number(7...10))).map { _ in pick([0, 43, 44, 51, 60] as [UInt8]) }
    var body: [UInt8] = []
    for (index, header) in chain.enumerated() {
      let next = index + 1 < chain.count ? chain[index + 1] : last
      switch header {
      case 44: body += [next, 0] + .big16(chance(70) ? pick([0, 1, 6]) : pick([8, 0x00b9, 0xfff8])) + [0, 0, 0, 7]
      case 51: body += [next, 4] + [UInt8](repeating: 9, count: 22)
      default:
        let words = number(0...1) as UInt8
        body += [next, chance(97) ? words : 200] + [UInt8](repeating: 0, count: 6 + 8 * Int(words))
      }
    }
    let header: [UInt8] = [chance(98) ? 0x60 : 0x40, 0, 0, 0, 0, 60, chain.first ?? last, 64]
    let addresses = address(isIPv4: false).bytes + address(isIPv4: false).bytes
    return header + addresses + body + transport(last)
  }

  private mutating func transport(_ kind: UInt8) -> [UInt8] {
    if kind == 1 || kind == 58 { return [pick([0, 8, 128, 135]), number(0...2), 0, 0, 0, 0, 0, 0] }
    let flags: UInt16 = 0x5000 | pick([0x02, 0x12, 0x10, 0x18, 0x04, 0x11, 0xfff])
    return .big16(port()) + .big16(port()) + [0, 0, 0, 1, 0, 0, 0, 0] + .big16(flags) + [0, 0, 0, 0, 0, 0]
  }
}

extension ACLSettings {
  /// Its tables would be too large: in each part of two IPv6 addresses, nearly every value has a set of entries of its own.
  static func impossible(_ name: String) -> ACLSettings {
    var random = SeededRandom(state: 1)
    func address() -> IPAddress { IPAddress(high: random.next() | 1 << 63, low: random.next()) }
    return ACLSettings(
      name: name,
      entries: (0..<1100).map { number in
        var entry = ACLEntry(sequence: Int64(number), direction: .ingress, action: .deny)
        entry.source = ACLEntry.MaskedAddress(address(), mask: address())
        entry.destination = ACLEntry.MaskedAddress(address(), mask: address())
        return entry
      })
  }
}
