// AgentXMessage: PDUs between snmpd and its sub-agents (RFC 2741, section 6), those that a sub-agent without writable objects needs.
// Encoded in network byte order; decoded in either, as the PDU's flag says.

import NIOCore

/// The value of a variable (RFC 2741, section 5.4).
enum AgentXValue: Equatable, Sendable {
  case integer(Int32)
  case octets([UInt8])
  case objectIdentifier(ObjectIdentifier)
  case counter32(UInt32)
  case gauge32(UInt32)
  case timeTicks(UInt32)
  case counter64(UInt64)
  case noSuchObject
  case noSuchInstance
  case endOfMIBView

  fileprivate var type: UInt16 {
    switch self {
    case .integer: 2
    case .octets: 4
    case .objectIdentifier: 6
    case .counter32: 65
    case .gauge32: 66
    case .timeTicks: 67
    case .counter64: 70
    case .noSuchObject: 128
    case .noSuchInstance: 129
    case .endOfMIBView: 130
    }
  }
}

struct AgentXVariable: Equatable, Sendable {
  var name: ObjectIdentifier
  var value: AgentXValue
}

/// What is asked for (RFC 2741, section 5.2).
struct AgentXRange: Equatable, Sendable {
  var start: ObjectIdentifier
  /// `start` itself may be the answer.
  var includesStart: Bool
  /// The answer comes before it; nil: there is no end.
  var end: ObjectIdentifier?
}

/// A PDU with its header.
struct AgentXMessage: Equatable, Sendable {
  enum Payload: Equatable, Sendable {
    case open(description: String)
    /// Reason: RFC 2741, section 6.2.2; 5 is shutdown.
    case close(reason: UInt8)
    /// - rangeLast: the last sub-identifier of the name stands for all from it to this one; nil: it does not. The names are then instances.
    case register(ObjectIdentifier, rangePosition: UInt8, rangeLast: UInt32?)
    case unregister(ObjectIdentifier, rangePosition: UInt8, rangeLast: UInt32?)
    case get([AgentXRange])
    case getNext([AgentXRange])
    case getBulk(nonRepeaters: UInt16, maxRepetitions: UInt16, [AgentXRange])
    case ping
    case response(upTime: UInt32, error: UInt16, index: UInt16, [AgentXVariable])
    /// TestSet, CommitSet or UndoSet: nothing here can be set.
    case set
    /// CleanupSet, or what a sub-agent never gets.
    case ignored(type: UInt8)
  }

  var session: UInt32 = 0
  var transaction: UInt32 = 0
  var packet: UInt32 = 0
  var payload: Payload

  static let headerByteCount = 20
  /// No PDU of a master is longer: requests have names only.
  static let payloadLimit = 1 << 20

  /// RFC 2741, section 7.1.5.
  static let errorDuplicate: UInt16 = 263, errorNotWritable: UInt16 = 17
}

/// A PDU that breaks RFC 2741: the session cannot go on.
struct AgentXError: Error, CustomStringConvertible {
  var description: String
}

extension AgentXMessage {
  // -- encoding -----------------------------------------------------------------------------------------------------------

  /// Appends the PDU.
  func write(into buffer: inout ByteBuffer) {
    var body = ByteBuffer()
    let type: UInt8
    var flags: UInt8 = 0x10
    switch payload {
    case .open(let description):
      type = 1
      // The master's own time-out.
      body.writeInteger(UInt32(0))
      Self.write(ObjectIdentifier([]), into: &body)
      Self.write(Array(description.utf8), into: &body)
    case .close(let reason):
      type = 2
      body.writeInteger(UInt32(reason) << 24)
    case .register(let name, let position, let last):
      type = 3
      // Default time-out and priority.
      body.writeBytes([0, 127, last == nil ? 0 : position, 0])
      Self.write(name, into: &body)
      if let last { body.writeInteger(last) }
      if last != nil { flags |= 0x01 }
    case .unregister(let name, let position, let last):
      type = 4
      body.writeBytes([0, 127, last == nil ? 0 : position, 0])
      Self.write(name, into: &body)
      if let last { body.writeInteger(last) }
    case .get(let ranges):
      type = 5
      for range in ranges { Self.write(range, into: &body) }
    case .getNext(let ranges):
      type = 6
      for range in ranges { Self.write(range, into: &body) }
    case .getBulk(let nonRepeaters, let maxRepetitions, let ranges):
      type = 7
      body.writeInteger(nonRepeaters)
      body.writeInteger(maxRepetitions)
      for range in ranges { Self.write(range, into: &body) }
    case .ping: type = 13
    case .response(let upTime, let error, let index, let variables):
      type = 18
      body.writeInteger(upTime)
      body.writeInteger(error)
      body.writeInteger(index)
      for variable in variables { Self.write(variable, into: &body) }
    case .set: type = 8
    case .ignored(let other): type = other
    }
    buffer.writeBytes([1, type, flags, 0])
    for field in [session, transaction, packet, UInt32(body.readableBytes)] { buffer.writeInteger(field) }
    buffer.writeBuffer(&body)
  }

  private static func write(_ name: ObjectIdentifier, isIncluded: Bool = false, into buffer: inout ByteBuffer) {
    buffer.writeBytes([UInt8(clamping: name.ids.count), 0, isIncluded ? 1 : 0, 0])
    for id in name.ids { buffer.writeInteger(id) }
  }

  private static func write(_ range: AgentXRange, into buffer: inout ByteBuffer) {
    write(range.start, isIncluded: range.includesStart, into: &buffer)
    write(range.end ?? ObjectIdentifier([]), into: &buffer)
  }

  private static func write(_ octets: [UInt8], into buffer: inout ByteBuffer) {
    buffer.writeInteger(UInt32(octets.count))
    buffer.writeBytes(octets)
    buffer.writeRepeatingByte(0, count: (4 - octets.count % 4) % 4)
  }

  private static func write(_ variable: AgentXVariable, into buffer: inout ByteBuffer) {
    buffer.writeInteger(variable.value.type)
    buffer.writeInteger(UInt16(0))
    write(variable.name, into: &buffer)
    switch variable.value {
    case .integer(let value): buffer.writeInteger(value)
    case .octets(let value): write(value, into: &buffer)
    case .objectIdentifier(let value): write(value, into: &buffer)
    case .counter32(let value), .gauge32(let value), .timeTicks(let value): buffer.writeInteger(value)
    case .counter64(let value): buffer.writeInteger(value)
    case .noSuchObject, .noSuchInstance, .endOfMIBView: break
    }
  }

  // -- decoding -----------------------------------------------------------------------------------------------------------

  /// Takes one PDU off the front.
  ///
  /// - Returns: nil if it is not complete yet; then nothing is taken.
  /// - Throws: why it cannot be one.
  init?(readingFrom buffer: inout ByteBuffer) throws(AgentXError) {
    guard buffer.readableBytes >= Self.headerByteCount, let start = buffer.getBytes(at: buffer.readerIndex, length: 4) else { return nil }
    guard start[0] == 1 else { throw AgentXError(description: "version \(start[0]) of AgentX") }
    let order: Endianness = start[2] & 0x10 == 0 ? .little : .big
    func field(_ position: Int) -> UInt32 {
      buffer.getInteger(at: buffer.readerIndex + 4 * position, endianness: order, as: UInt32.self) ?? 0
    }
    let byteCount = Int(field(4))
    guard byteCount <= Self.payloadLimit else { throw AgentXError(description: "a PDU of \(byteCount) bytes") }
    guard buffer.readableBytes >= Self.headerByteCount + byteCount else { return nil }
    (session, transaction, packet) = (field(1), field(2), field(3))
    buffer.moveReaderIndex(forwardBy: Self.headerByteCount)
    guard let body = buffer.readSlice(length: byteCount) else { return nil }
    var reader = AgentXReader(buffer: body, order: order)
    if start[2] & 0x08 != 0 { _ = try reader.octets() }
    switch start[1] {
    case 1:
      _ = try reader.integer(UInt32.self)
      _ = try reader.name()
      payload = .open(description: String(decoding: try reader.octets(), as: UTF8.self))
    case 2: payload = .close(reason: try reader.integer(UInt8.self))
    case 3, 4:
      _ = try reader.integer(UInt16.self)
      let position = try reader.integer(UInt8.self)
      _ = try reader.integer(UInt8.self)
      let name = try reader.name().name
      let last = position == 0 ? nil : try reader.integer(UInt32.self)
      payload =
        start[1] == 3
        ? .register(name, rangePosition: position, rangeLast: last) : .unregister(name, rangePosition: position, rangeLast: last)
    case 5: payload = .get(try reader.ranges())
    case 6: payload = .getNext(try reader.ranges())
    case 7:
      let (nonRepeaters, maxRepetitions) = (try reader.integer(UInt16.self), try reader.integer(UInt16.self))
      payload = .getBulk(nonRepeaters: nonRepeaters, maxRepetitions: maxRepetitions, try reader.ranges())
    case 8, 9, 10: payload = .set
    case 13: payload = .ping
    case 18:
      let (upTime, error, index) = (try reader.integer(UInt32.self), try reader.integer(UInt16.self), try reader.integer(UInt16.self))
      payload = .response(upTime: upTime, error: error, index: index, try reader.variables())
    default: payload = .ignored(type: start[1])
    }
  }
}

/// Reads the parts of a PDU.
private struct AgentXReader {
  var buffer: ByteBuffer
  let order: Endianness

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(AgentXError) -> Value {
    guard let value = buffer.readInteger(endianness: order, as: type) else { throw AgentXError(description: "a PDU that ends too early") }
    return value
  }

  mutating func name() throws(AgentXError) -> (name: ObjectIdentifier, isIncluded: Bool) {
    let (count, prefix) = (try integer(UInt8.self), try integer(UInt8.self))
    let isIncluded = try integer(UInt8.self) != 0
    _ = try integer(UInt8.self)
    guard count <= 128 else { throw AgentXError(description: "a name of \(count) sub-identifiers") }
    var ids: [UInt32] = prefix == 0 ? [] : [1, 3, 6, 1, UInt32(prefix)]
    for _ in 0..<count { ids.append(try integer(UInt32.self)) }
    return (ObjectIdentifier(ids), isIncluded)
  }

  mutating func octets() throws(AgentXError) -> [UInt8] {
    let count = Int(try integer(UInt32.self))
    guard let bytes = buffer.readBytes(length: count), buffer.readSlice(length: (4 - count % 4) % 4) != nil else {
      throw AgentXError(description: "a PDU that ends within a string")
    }
    return bytes
  }

  mutating func ranges() throws(AgentXError) -> [AgentXRange] {
    var ranges: [AgentXRange] = []
    while buffer.readableBytes > 0 {
      let start = try name()
      let end = try name().name
      ranges.append(AgentXRange(start: start.name, includesStart: start.isIncluded, end: end.ids.isEmpty ? nil : end))
    }
    return ranges
  }

  mutating func variables() throws(AgentXError) -> [AgentXVariable] {
    var variables: [AgentXVariable] = []
    while buffer.readableBytes > 0 {
      let type = try integer(UInt16.self)
      _ = try integer(UInt16.self)
      let name = try name().name
      let value: AgentXValue
      switch type {
      case 2: value = .integer(try integer(Int32.self))
      case 4, 64, 68: value = .octets(try octets())
      case 6: value = .objectIdentifier(try self.name().name)
      case 65: value = .counter32(try integer(UInt32.self))
      case 66: value = .gauge32(try integer(UInt32.self))
      case 67: value = .timeTicks(try integer(UInt32.self))
      case 70: value = .counter64(try integer(UInt64.self))
      case 128, 5: value = .noSuchObject
      case 129: value = .noSuchInstance
      case 130: value = .endOfMIBView
      default: throw AgentXError(description: "a variable of type \(type)")
      }
      variables.append(AgentXVariable(name: name, value: value))
    }
    return variables
  }
}
