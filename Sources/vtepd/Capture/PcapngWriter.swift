// PcapngWriter: captured frames as blocks of a pcapng file (draft-ietf-opsawg-pcapng), with a comment for each. DPDK 22.11's library for
// that cannot carry comments (docs/decisions/0040-dropped-frames-and-captures.md).

import Encap
import VTEP

/// Makes a file block by block. Each port or uplink is an interface of the file, described before its first frame.
struct PcapngWriter {
  private enum Block {
    static let interface: UInt32 = 1
    static let statistics: UInt32 = 5
    static let packet: UInt32 = 6
    static let section: UInt32 = 0x0a0d_0d0a
  }
  private enum Option {
    static let comment: UInt16 = 1
    static let application: UInt16 = 4
    static let name: UInt16 = 2
    static let resolution: UInt16 = 9
    static let filter: UInt16 = 11
    static let flags: UInt16 = 2
    static let received: UInt16 = 4
    static let dropped: UInt16 = 5
  }

  private struct Interface {
    var number: UInt32
    var packets: UInt64 = 0
  }

  private let filter: String
  private let snapLength: UInt32
  private var interfaces: [String: Interface] = [:]
  private var bytes: [UInt8] = []

  init(version: String, filter: String, snapLength: Int) {
    self.filter = filter
    self.snapLength = UInt32(clamping: snapLength)
    add(Block.section) { block in
      block.append(0x1a2b_3c4d as UInt32)
      block.append(1 as UInt16)
      block.append(0 as UInt16)
      // The section's length is not known.
      block.append(UInt64.max)
      Self.add(Option.application, Array(version.utf8), to: &block)
      Self.endOptions(&block)
    }
  }

  /// What has been made since the last call.
  mutating func takeBytes() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  mutating func add(_ frame: CapturedFrame) {
    let number = interface(frame.port ?? "(deleted)")
    add(Block.packet) { block in
      block.append(number)
      block.append(UInt32(truncatingIfNeeded: frame.nanoseconds >> 32))
      block.append(UInt32(truncatingIfNeeded: frame.nanoseconds))
      block.append(UInt32(frame.octets.count))
      block.append(UInt32(frame.byteCount))
      block += frame.octets
      Self.pad(&block)
      Self.add(Option.comment, Array(Self.comment(frame).utf8), to: &block)
      var flags: [UInt8] = []
      flags.append(Self.isInbound(frame.direction).map { $0 ? 1 : 2 } ?? 0 as UInt32)
      Self.add(Option.flags, flags, to: &block)
      Self.endOptions(&block)
    }
  }

  /// Ends the file: how many frames each interface had, and how many are missing.
  mutating func end(missed: UInt64, nanoseconds: UInt64) {
    for (_, interface) in interfaces.sorted(by: { $0.value.number < $1.value.number }) {
      add(Block.statistics) { block in
        block.append(interface.number)
        block.append(UInt32(truncatingIfNeeded: nanoseconds >> 32))
        block.append(UInt32(truncatingIfNeeded: nanoseconds))
        var received: [UInt8] = []
        received.append(interface.packets)
        Self.add(Option.received, received, to: &block)
        // It is not known of which interface they were.
        if interface.number == 0, missed > 0 {
          var count: [UInt8] = []
          count.append(missed)
          Self.add(Option.dropped, count, to: &block)
          Self.add(Option.comment, Array("\(missed) frames of all interfaces are missing: they were not read in time".utf8), to: &block)
        }
        Self.endOptions(&block)
      }
    }
  }

  /// `direction=from-port port=vm1 vni=5001`, and so on: words for filters.
  static func comment(_ frame: CapturedFrame) -> String {
    var words = ["direction=\(name(frame.direction))"]
    if let port = frame.port { words.append("port=\(port)") }
    if let vni = frame.vni { words.append("vni=\(vni)") }
    if let vtep = frame.vtep { words.append("vtep=\(vtep)") }
    if let reason = frame.reason { words.append("drop=\(reason.name)") }
    return words.joined(separator: " ")
  }

  private static func name(_ direction: CaptureDirection) -> String {
    switch direction {
    case .fromPort: "from-port"
    case .toPort: "to-port"
    case .fromUnderlay: "from-underlay"
    case .toUnderlay: "to-underlay"
    case .dropped: "dropped"
    }
  }

  /// Nil: a dropped frame may have come or been about to leave.
  private static func isInbound(_ direction: CaptureDirection) -> Bool? {
    switch direction {
    case .fromPort, .fromUnderlay: true
    case .toPort, .toUnderlay: false
    case .dropped: nil
    }
  }

  private mutating func interface(_ name: String) -> UInt32 {
    if let known = interfaces[name]?.number {
      interfaces[name]?.packets += 1
      return known
    }
    let number = UInt32(interfaces.count)
    interfaces[name] = Interface(number: number, packets: 1)
    let (filter, snapLength) = (filter, snapLength)
    add(Block.interface) { block in
      // Ethernet, and a reserved field.
      block.append(1 as UInt16)
      block.append(0 as UInt16)
      block.append(snapLength)
      Self.add(Option.name, Array(name.utf8), to: &block)
      Self.add(Option.resolution, [9], to: &block)
      if !filter.isEmpty { Self.add(Option.filter, [0] + Array(filter.utf8), to: &block) }
      Self.endOptions(&block)
    }
    return number
  }

  private mutating func add(_ type: UInt32, _ body: (inout [UInt8]) -> Void) {
    var block: [UInt8] = []
    body(&block)
    let byteCount = UInt32(block.count + 12)
    bytes.append(type)
    bytes.append(byteCount)
    bytes += block
    bytes.append(byteCount)
  }

  private static func add(_ option: UInt16, _ value: [UInt8], to block: inout [UInt8]) {
    block.append(option)
    block.append(UInt16(clamping: value.count))
    block += value.prefix(Int(UInt16.max))
    pad(&block)
  }

  private static func endOptions(_ block: inout [UInt8]) { block.append(0 as UInt32) }

  private static func pad(_ block: inout [UInt8]) { while block.count % 4 != 0 { block.append(0 as UInt8) } }
}

extension [UInt8] {
  /// In the order of octets of this machine, which the section's header tells.
  fileprivate mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    Swift.withUnsafeBytes(of: value) { append(contentsOf: $0) }
  }
}
