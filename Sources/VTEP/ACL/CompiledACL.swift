// CompiledACL: the memory of an access control list that workers ask, made from its settings by the control side. Immutable; snapshots keep
// it as long as a worker may use it.

import Encap

final class CompiledACL: @unchecked Sendable {
  private(set) var programs = ACLPrograms()
  /// In octets.
  private(set) var byteCount = 0
  private var blocks: [UnsafeMutableRawPointer] = []

  /// Largest one, in octets. Lists of thousands of addresses and ports take a few; masks that are no prefixes can take much more.
  static let maximumByteCount = 64 << 20

  /// The list is too large.
  struct TooLarge: Error, Equatable {
    var reason: String
  }

  /// - Parameter slots: of the counters of the entries of each direction, in the order of `ACLSettings.ordered`, and one more for frames
  ///   that none matches.
  init(_ settings: ACLSettings, slots: (ACLEntry.Direction) -> [UInt32]) throws(TooLarge) {
    programs.ingress = try program(settings.ordered(.ingress), slots(.ingress))
    programs.egress = try program(settings.ordered(.egress), slots(.egress))
  }

  deinit { for block in blocks { block.deallocate() } }

  private func store<Element>(_ elements: [Element]) -> UnsafePointer<Element> {
    let block = UnsafeMutablePointer<Element>.allocate(capacity: max(elements.count, 1))
    block.initialize(from: elements, count: elements.count)
    blocks.append(UnsafeMutableRawPointer(block))
    byteCount += elements.count * MemoryLayout<Element>.stride
    return UnsafePointer(block)
  }

  /// Entries that ask for the same things stand together, so that most words of a set are empty and its summary says so. A word has them in
  /// the order in which they decide.
  ///
  /// - Parameter conditions: of each entry, by chunk.
  /// - Returns: at each new position, the place in the list.
  private static func arrangement(_ conditions: [[ACLCondition?]]) -> [Int] {
    /// What an entry asks for: protocol and contents, which hardly any two kinds of frames share, then the rest.
    struct Kind: Comparable {
      var network: UInt32 = 0
      var chunks: UInt32 = 0
      var values: [UInt16] = []

      init(_ conditions: [ACLCondition?]) {
        for (position, condition) in conditions.enumerated() {
          guard let condition else { continue }
          chunks |= 1 << UInt32(position)
          switch condition {
          case .range(let range): values.append(range.lowerBound)
          case .bits(let value, let mask):
            values.append(value)
            if position == FlowKey.Field.network.rawValue { network = UInt32(value) << 16 | UInt32(mask) }
          }
        }
      }

      static func < (one: Kind, other: Kind) -> Bool {
        if one.network != other.network { return one.network < other.network }
        return one.chunks != other.chunks ? one.chunks < other.chunks : one.values.lexicographicallyPrecedes(other.values)
      }
    }
    let kinds = conditions.map(Kind.init)
    var order = kinds.indices.sorted { kinds[$0] != kinds[$1] ? kinds[$0] < kinds[$1] : $0 < $1 }
    for start in stride(from: 0, to: order.count, by: 64) { order[start..<min(start + 64, order.count)].sort() }
    return order
  }

  private func program(_ entries: [ACLEntry], _ slots: [UInt32]) throws(TooLarge) -> ACLProgram {
    guard !entries.isEmpty else { return ACLProgram() }
    guard entries.count <= ACLSettings.maximumEntries else {
      throw TooLarge(reason: "it has \(entries.count) entries of one direction; at most \(ACLSettings.maximumEntries) are possible")
    }
    let asked = entries.map(\.conditions)
    let order = Self.arrangement(asked)
    let conditions = order.map { asked[$0] }
    let families = order.map { entries[$0].isIPv6 }
    let wordCount = (entries.count + 63) / 64
    var random = SystemRandomNumberGenerator()
    let marks = entries.map { _ in (random.next(), random.next()) }
    var everything = [UInt64](repeating: .max, count: wordCount)
    if entries.count % 64 != 0 { everything[wordCount - 1] = 1 << UInt64(entries.count % 64) - 1 }
    var sets = [wordCount == 64 ? UInt64.max : 1 << UInt64(wordCount) - 1] + everything
    var ofIPv6: [ACLChunk] = []
    var ofOthers: [ACLChunk] = []
    for position in 0..<FlowKey.chunkCount {
      let asked = conditions.map { $0[position] }
      let askers = asked.indices.filter { asked[$0] != nil }
      guard !askers.isEmpty else { continue }
      let room = (Self.maximumByteCount - byteCount) / MemoryLayout<UInt64>.stride - sets.count
      guard
        let table = ACLChunkTable(
          asked, wordCount: wordCount, isSwapped: FlowKey.isInWireOrder(position), setOffset: sets.count, maximumWords: room, marks: marks)
      else {
        throw TooLarge(
          reason: """
            its tables would need more than \(Self.maximumByteCount >> 20) MiB; use fewer entries, or masks that are prefixes
            """)
      }
      let chunk = ACLChunk(position: position, table: store(table.table))
      sets += table.sets
      // It tells the kinds of frames apart.
      let isForAll = position == FlowKey.Field.network.rawValue
      if isForAll || askers.contains(where: { families[$0] != false }) { ofIPv6.append(chunk) }
      if isForAll || askers.contains(where: { families[$0] != true }) { ofOthers.append(chunk) }
    }
    let verdicts = order.map { ACLVerdict(isDenied: entries[$0].action == .deny, slot: slots[$0]) }
    let unmatched = ACLVerdict(isDenied: false, slot: slots[entries.count])
    return ACLProgram(
      ofIPv6: ACLChunkList(count: ofIPv6.count, chunks: store(ofIPv6)),
      ofOthers: ACLChunkList(count: ofOthers.count, chunks: store(ofOthers)),
      sets: store(sets), ranks: store((order + [entries.count]).map { UInt16($0) }), verdicts: store(verdicts + [unmatched]),
      entryCount: entries.count)
  }
}

extension ACLEntry {
  /// The family of its addresses; nil: it has none.
  fileprivate var isIPv6: Bool? { (source ?? destination).map { !$0.address.isIPv4 } }

  /// What it asks of each chunk of a `FlowKey`.
  fileprivate var conditions: [ACLCondition?] {
    var conditions = [ACLCondition?](repeating: nil, count: FlowKey.chunkCount)
    func set(_ field: FlowKey.Field, _ offset: Int = 0, _ value: UInt64, _ mask: UInt64) {
      let (value, mask) = (UInt16(truncatingIfNeeded: value), UInt16(truncatingIfNeeded: mask))
      if mask != 0 { conditions[field.rawValue + offset] = .bits(value & mask, mask: mask) }
    }
    func set(_ field: FlowKey.Field, _ mac: MaskedMAC) {
      for part in 0..<3 { set(field, part, mac.address.bits >> UInt64(32 - 16 * part), mac.mask.bits >> UInt64(32 - 16 * part)) }
    }
    func set(_ field: FlowKey.Field, _ address: MaskedAddress) {
      if address.address.isIPv4 {
        for part in 0..<2 {
          set(field, part, UInt64(address.address.ipv4 >> UInt32(16 - 16 * part)), UInt64(address.mask.ipv4 >> UInt32(16 - 16 * part)))
        }
      } else {
        for part in 0..<8 {
          let shift = UInt64(48 - 16 * (part & 3))
          let (value, mask) = part < 4 ? (address.address.high, address.mask.high) : (address.address.low, address.mask.low)
          set(field, part, value >> shift, mask >> shift)
        }
      }
    }
    if let sourceMAC { set(.sourceMAC, sourceMAC) }
    if let destinationMAC { set(.destinationMAC, destinationMAC) }
    if let etherType { set(.etherType, 0, UInt64(etherType), .max) }
    if let source { set(.sourceAddress, source) }
    if let destination { set(.destinationAddress, destination) }
    if let sourcePorts { conditions[FlowKey.Field.sourcePort.rawValue] = .range(sourcePorts) }
    if let destinationPorts { conditions[FlowKey.Field.destinationPort.rawValue] = .range(destinationPorts) }
    // The upper four bits of the chunk are always 0.
    if let tcpFlags { set(.tcpFlags, 0, UInt64(tcpFlags.value), UInt64(tcpFlags.mask) | (tcpFlags.mask == 0 ? 0 : 0xf000)) }
    set(.icmp, 0, UInt64(icmpType ?? 0) << 8 | UInt64(icmpCode ?? 0), (icmpType == nil ? 0 : 0xff00) | (icmpCode == nil ? 0 : 0xff))

    var contents: FlowKey.Contents = []
    if needsIP { contents.insert(.ip) }
    if let isIPv6 { contents.insert(isIPv6 ? .ipv6 : .ipv4) }
    if sourcePorts != nil || destinationPorts != nil { contents.insert(.ports) }
    if tcpFlags != nil { contents.insert(.tcpFlags) }
    if icmpType != nil || icmpCode != nil { contents.insert(.icmp) }
    // Bits above those of the contents are always 0.
    let unused = contents.isEmpty && protocolNumber == nil ? 0 : ~UInt64(FlowKey.Contents.all.rawValue) & 0xff
    let mask = (protocolNumber == nil ? 0 : 0xff00) | unused | UInt64(contents.rawValue)
    set(.network, 0, UInt64(protocolNumber ?? 0) << 8 | UInt64(contents.rawValue), mask)
    return conditions
  }
}
