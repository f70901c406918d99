// StateCoding: numbers, texts and lists as octets, for SavedState+Bytes. Every length is checked before it is believed.

import Encap

/// Appends values.
struct StateWriter {
  var bytes: [UInt8] = []

  init(capacity: Int) { bytes.reserveCapacity(capacity) }

  @inline(__always)
  mutating func put<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Longer texts than any name or reason are cut.
  mutating func put(_ text: String) {
    let octets = Array(text.utf8.prefix(Int(UInt16.max)))
    put(UInt16(octets.count))
    bytes += octets
  }

  mutating func put(_ address: IPAddress) {
    put(address.high)
    put(address.low)
  }

  mutating func put(_ traffic: TrafficReport) {
    for value in [traffic.rxPackets, traffic.rxBytes, traffic.txPackets, traffic.txBytes] { put(value) }
  }

  mutating func put(_ counts: SavedState.Counts) {
    put(list: counts.sorted { $0.key < $1.key }) { writer, count in
      writer.put(count.key)
      writer.put(count.value)
    }
  }

  mutating func put<Element>(list: [Element], _ each: (inout StateWriter, Element) -> Void) {
    put(UInt32(list.count))
    for element in list { each(&self, element) }
  }
}

/// Takes them again.
struct StateReader {
  private let bytes: [UInt8]
  private var offset: Int

  init(_ bytes: [UInt8], at offset: Int) {
    self.bytes = bytes
    self.offset = offset
  }

  var isAtEnd: Bool { offset == bytes.count }

  @inline(__always)
  mutating func take<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(SavedStateError) -> Value {
    let count = MemoryLayout<Value>.size
    guard bytes.count - offset >= count else { throw .cutOff }
    defer { offset += count }
    return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
  }

  mutating func text() throws(SavedStateError) -> String {
    let count = Int(try take(UInt16.self))
    guard bytes.count - offset >= count else { throw .cutOff }
    guard let text = String(validating: bytes[offset..<offset + count], as: UTF8.self) else { throw .nonsense }
    offset += count
    return text
  }

  mutating func address() throws(SavedStateError) -> IPAddress { IPAddress(high: try take(), low: try take()) }

  mutating func mac() throws(SavedStateError) -> MACAddress {
    let bits = try take(UInt64.self)
    guard bits <= 0xffff_ffff_ffff else { throw .nonsense }
    return MACAddress(bits: bits)
  }

  mutating func traffic() throws(SavedStateError) -> TrafficReport {
    TrafficReport(rxPackets: try take(), rxBytes: try take(), txPackets: try take(), txBytes: try take())
  }

  mutating func counts() throws(SavedStateError) -> SavedState.Counts {
    Dictionary(try list { (reader) throws(SavedStateError) in (try reader.text(), try reader.take(UInt64.self)) }) { $1 }
  }

  mutating func list<Element>(
    _ each: (inout StateReader) throws(SavedStateError) -> Element
  ) throws(SavedStateError) -> [Element] {
    let count = Int(try take(UInt32.self))
    // Each element has at least an octet: no more memory is asked for than the file could fill.
    guard count <= bytes.count - offset else { throw .cutOff }
    var list: [Element] = []
    list.reserveCapacity(min(count, (bytes.count - offset) / 8))
    for _ in 0..<count { list.append(try each(&self)) }
    return list
  }
}
