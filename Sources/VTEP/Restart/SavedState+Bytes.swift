// SavedState+Bytes: a saved state as the contents of a file: a header, and a body that its checksum covers. Numbers are little-endian, text has
// its length in front. What was cut off, changed or written in another form is noticed before anything of it is used.
//
//     0  magic, 8 octets    8  version of the form, 4    12  CRC-32C of the rest, 4    16  length of the file, 8
//     24 boot: which start of the host the times belong to    ...

import CDPDK
import Encap

/// Why bytes are no saved state that can be used.
public struct SavedStateError: Error, Equatable, CustomStringConvertible {
  public var description: String

  public init(description: String) { self.description = description }

  static let cutOff = SavedStateError(description: "it is cut off")
  static let nonsense = SavedStateError(description: "it cannot be parsed")
}

extension SavedState {
  private static let magic = Array("vtepd-st".utf8)
  /// Version 1 had no `since` with addresses, version 2 no `tail`; they are read, so that an upgrade forgets nothing.
  private static let version: UInt32 = 3
  private static let oldestVersion: UInt32 = 1
  private static let headerByteCount = 24
  /// Of an address.
  private static let addressByteCount = 24

  // -- writing -----------------------------------------------------------------------------------------------------------

  /// - Parameter boot: of the host.
  public func bytes(boot: String) -> [UInt8] {
    var writer = StateWriter(capacity: 4096 + addresses.count * Self.addressByteCount + (ports.count + vnis.count) * 64)
    writer.bytes += Self.magic
    writer.put(Self.version)
    writer.put(UInt32(0))
    writer.put(UInt64(0))
    writer.put(boot)
    writer.put(savedSeconds)
    writeRest(&writer)
    Self.seal(&writer.bytes)
    return writer.bytes
  }

  /// - Parameter bytes: a header without length and checksum, and what follows it.
  static func seal(_ bytes: inout [UInt8]) {
    store(UInt64(bytes.count), in: &bytes, at: 16)
    store(checksum(bytes), in: &bytes, at: 12)
  }

  private func writeRest(_ writer: inout StateWriter) {
    writer.put(countingSinceSeconds)
    writer.put(list: ports) { writer, port in
      writer.put(port.attachment)
      writer.put(port.traffic)
      writer.put(port.drops)
      writer.put(list: port.bindings.sorted { $0.key < $1.key }) { writer, binding in
        writer.put(binding.key)
        writer.put(binding.value)
      }
      writer.put(list: port.shut.map { [$0] } ?? []) { writer, shut in
        writer.put(UInt8(shut.isLoop ? 1 : 0))
        writer.put(shut.reason)
        writer.put(shut.endSeconds)
      }
    }
    writer.put(list: vnis) { writer, counts in
      writer.put(counts.vni.rawValue)
      writer.put(counts.traffic)
      writer.put(counts.flooded)
      writer.put(counts.stormDrops)
      writer.put(counts.learnRefusals)
    }
    writer.put(list: vteps) { writer, counts in
      writer.put(counts.address)
      writer.put(counts.traffic)
    }
    writer.put(list: uplinks) { writer, uplink in
      writer.put(uplink.name)
      writer.put(uplink.traffic)
      for counts in [uplink.drops, uplink.ignored, uplink.passed, uplink.limited] { writer.put(counts) }
      writer.put(uplink.missed)
    }
    writer.put(dropTotals)
    for count in [inserts, moves, evictions] { writer.put(count) }
    writer.put(list: places) { writer, place in
      switch place {
      case .port(let port, let vlan):
        writer.put(UInt8(0))
        writer.put(UInt32(port))
        writer.put(vlan)
      case .vtep(let address):
        writer.put(UInt8(1))
        writer.put(address)
      }
    }
    // There may be a million, and nothing is forwarded meanwhile.
    var words: [UInt64] = []
    words.reserveCapacity(addresses.count * 3)
    for address in addresses {
      words.append((UInt64(address.moves) << 48 | address.mac.bits).littleEndian)
      words.append((UInt64(address.place) << 32 | UInt64(address.vni)).littleEndian)
      words.append((UInt64(address.since) << 32 | UInt64(address.lastSeenSeconds)).littleEndian)
    }
    writer.put(UInt32(addresses.count))
    words.withUnsafeBytes { writer.bytes.append(contentsOf: $0) }
    writer.put(list: frozen) { writer, move in
      writer.put(move.mac.bits)
      for value in [move.vni, move.first, move.second, UInt32(clamping: move.moves), move.sinceSeconds] { writer.put(value) }
    }
    writer.put(list: moving) { writer, record in
      writer.put(record.mac.bits)
      writer.put(record.vni)
      writer.put(record.place)
      writer.put(list: record.moves) { writer, move in
        writer.put(move.seconds)
        writer.put(move.from)
      }
    }
    writeTail(&writer)
  }

  /// What version 3 has behind everything else.
  private func writeTail(_ writer: inout StateWriter) {
    for counts in vnis {
      writer.put(counts.drops)
      writer.put(counts.neighbors.answers)
      writer.put(counts.neighbors.passes)
    }
    for counts in vteps {
      writer.put(counts.drops)
      writer.put(list: counts.bfd.map { [$0] } ?? []) { writer, bfd in
        for count in [bfd.flaps, bfd.packetsSent, bfd.packetsReceived, bfd.wrongKeys] { writer.put(count) }
      }
    }
    writer.put(list: routers) { writer, interface in
      writer.put(interface.router)
      writer.put(interface.vni.rawValue)
      writer.put(interface.traffic)
    }
    writer.put(list: acls) { writer, acl in
      writer.put(acl.name)
      writer.put(list: acl.entries.sorted { $0.key < $1.key }) { writer, entry in
        writer.put(entry.key)
        writer.put(entry.value.packets)
        writer.put(entry.value.bytes)
      }
    }
  }

  private static func store<Value: FixedWidthInteger>(_ value: Value, in bytes: inout [UInt8], at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }

  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { ~cdpdk_crc32c(.max, $0.baseAddress?.advanced(by: 16), max($0.count - 16, 0)) }
  }

  // -- reading -----------------------------------------------------------------------------------------------------------

  /// - Parameter boot: of the host; a state of an earlier one is refused.
  public init(bytes: [UInt8], boot: String) throws(SavedStateError) {
    guard bytes.count >= Self.headerByteCount else { throw .cutOff }
    guard Array(bytes[..<8]) == Self.magic else { throw SavedStateError(description: "it is no state that vtepd has saved") }
    var reader = StateReader(bytes, at: 8)
    let version = try reader.take(UInt32.self)
    guard (Self.oldestVersion...Self.version).contains(version) else {
      throw SavedStateError(
        description: "it is in version \(version) of its form, and this vtepd reads versions \(Self.oldestVersion) to \(Self.version)")
    }
    let checksum = try reader.take(UInt32.self)
    let length = try reader.take(UInt64.self)
    guard length <= UInt64(bytes.count) else { throw .cutOff }
    guard length == UInt64(bytes.count), checksum == Self.checksum(bytes) else {
      throw SavedStateError(description: "its contents were changed (the checksum differs)")
    }
    guard try reader.text() == boot else { throw SavedStateError(description: "it is from before the host was started") }
    savedSeconds = try reader.take()
    try readRest(&reader, version: version)
    guard reader.isAtEnd, isSound else { throw .nonsense }
  }

  private mutating func readRest(_ reader: inout StateReader, version: UInt32) throws(SavedStateError) {
    countingSinceSeconds = try reader.take()
    ports = try reader.list { (reader) throws(SavedStateError) in
      var port = Port(attachment: try reader.text(), traffic: try reader.traffic(), drops: try reader.counts())
      let bindings = try reader.list { (reader) throws(SavedStateError) in (try reader.take(UInt16.self), try reader.traffic()) }
      port.bindings = Dictionary(bindings) { $1 }
      port.shut = try reader.list { (reader) throws(SavedStateError) in
        Shut(isLoop: try reader.take(UInt8.self) != 0, reason: try reader.text(), endSeconds: try reader.take())
      }.first
      return port
    }
    vnis = try reader.list { (reader) throws(SavedStateError) in
      guard let vni = VNI(try reader.take(UInt32.self)) else { throw .nonsense }
      return VNICounts(
        vni: vni, traffic: try reader.traffic(), flooded: try reader.take(), stormDrops: try reader.counts(),
        learnRefusals: try reader.take())
    }
    vteps = try reader.list { (reader) throws(SavedStateError) in
      VTEPCounts(address: try reader.address(), traffic: try reader.traffic())
    }
    uplinks = try reader.list { (reader) throws(SavedStateError) in
      Uplink(
        name: try reader.text(), traffic: try reader.traffic(), drops: try reader.counts(), ignored: try reader.counts(),
        passed: try reader.counts(), limited: try reader.counts(), missed: try reader.take())
    }
    dropTotals = try reader.counts()
    (inserts, moves, evictions) = (try reader.take(), try reader.take(), try reader.take())
    places = try reader.list { (reader) throws(SavedStateError) in
      switch try reader.take(UInt8.self) {
      case 0: .port(Int(try reader.take(UInt32.self)), vlan: try reader.take())
      case 1: .vtep(try reader.address())
      default: throw .nonsense
      }
    }
    addresses = try reader.list { (reader) throws(SavedStateError) in
      let (first, second) = (try reader.take(UInt64.self), try reader.take(UInt64.self))
      return Address(
        mac: MACAddress(bits: first & 0xffff_ffff_ffff), vni: UInt32(truncatingIfNeeded: second), place: UInt32(second >> 32),
        lastSeenSeconds: try reader.take(), moves: UInt8(truncatingIfNeeded: first >> 48), since: version > 1 ? try reader.take() : 0)
    }
    frozen = try reader.list { (reader) throws(SavedStateError) in
      Frozen(
        mac: try reader.mac(), vni: try reader.take(), first: try reader.take(), second: try reader.take(),
        moves: Int(try reader.take(UInt32.self)), sinceSeconds: try reader.take())
    }
    moving = try reader.list { (reader) throws(SavedStateError) in
      var record = Moving(mac: try reader.mac(), vni: try reader.take(), moves: [], place: try reader.take())
      record.moves = try reader.list { (reader) throws(SavedStateError) in
        Moving.Move(seconds: try reader.take(), from: try reader.take())
      }
      return record
    }
    if version > 2 { try readTail(&reader) }
  }

  private mutating func readTail(_ reader: inout StateReader) throws(SavedStateError) {
    for index in vnis.indices {
      vnis[index].drops = try reader.counts()
      vnis[index].neighbors = NeighborCounts(answers: try reader.take(), passes: try reader.take())
    }
    for index in vteps.indices {
      vteps[index].drops = try reader.counts()
      vteps[index].bfd = try reader.list { (reader) throws(SavedStateError) in
        BFDCounts(
          flaps: try reader.take(), packetsSent: try reader.take(), packetsReceived: try reader.take(), wrongKeys: try reader.take())
      }.first
    }
    routers = try reader.list { (reader) throws(SavedStateError) in
      let router = try reader.text()
      guard let vni = VNI(try reader.take(UInt32.self)) else { throw .nonsense }
      return RouterInterface(router: router, vni: vni, traffic: try reader.traffic())
    }
    acls = try reader.list { (reader) throws(SavedStateError) in
      let name = try reader.text()
      let entries = try reader.list { (reader) throws(SavedStateError) in
        (try reader.text(), ACLCount(packets: try reader.take(), bytes: try reader.take()))
      }
      return ACL(name: name, entries: Dictionary(entries) { $1 })
    }
  }

  /// All positions are within their lists.
  private var isSound: Bool {
    let (vniCount, placeCount) = (UInt32(vnis.count), UInt32(places.count))
    return places.allSatisfy { if case .port(let port, let vlan) = $0 { port < ports.count && vlan < 4096 } else { true } }
      && addresses.allSatisfy { $0.vni < vniCount && $0.place < placeCount }
      && frozen.allSatisfy { $0.vni < vniCount && $0.first < placeCount && $0.second < placeCount }
      && moving.allSatisfy { record in
        record.vni < vniCount && record.place < placeCount && record.moves.allSatisfy { $0.from < placeCount }
      }
  }
}
