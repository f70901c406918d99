// Shared by the tests of this module: bytes from hexadecimal text, an exactly bounded packet buffer, a seeded generator, and the
// checksum in its plainest form.
import Glibc
import Testing

@testable import Encap

/// The bytes of hexadecimal text; spaces and line breaks are ignored.
func bytes(_ hex: String) -> [UInt8] {
  var result: [UInt8] = []
  var high: UInt8?
  for character in hex where !character.isWhitespace {
    guard let digit = character.hexDigitValue.map({ UInt8($0) }) else {
      preconditionFailure("no hex digit: \(character)")
    }
    if let first = high {
      result.append(first << 4 | digit)
      high = nil
    } else {
      high = digit
    }
  }
  return result
}

/// Memory that ends at an inaccessible page: one octet read or written beyond the packet kills the test. The octets before the
/// packet are 0xa5.
final class GuardedBuffer {
  private let base: UnsafeMutableRawPointer
  private let pageByteCount = 4096
  private let usable = 4 * 4096

  init() {
    base = mmap(nil, usable + pageByteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(base != MAP_FAILED && mprotect(base + usable, pageByteCount, PROT_NONE) == 0)
  }

  deinit { munmap(base, usable + pageByteCount) }

  /// Puts the packet flush against the inaccessible page.
  func load(_ packet: [UInt8]) -> UnsafeMutableRawBufferPointer {
    memset(base, 0xa5, usable)
    let buffer = UnsafeMutableRawBufferPointer(start: base + (usable - packet.count), count: packet.count)
    buffer.copyBytes(from: packet)
    return buffer
  }

  /// Parses on both paths: whatever the short path accepts, the general path must accept with the same result, except for the
  /// source.
  func parse(_ packet: [UInt8], policy: DecapPolicy = DecapPolicy()) -> OuterPacket {
    let bytes = UnsafeRawBufferPointer(load(packet)).bytes
    let result = OuterPacket(parsing: bytes, policy: policy)
    if let plain = PlainOuterIPv4(bytes, udpPort: policy.udpPort, isTrusted: false), result.reason != .outerSourceInvalid {
      #expect(result.outcome == .accepted && result.vni == plain.vni && result.trafficClass == plain.trafficClass)
      #expect(result.source.ipv4 == UInt32(bigEndian: plain.wireSource))
      #expect(result.innerOffset == PlainOuterIPv4.byteCount && result.innerByteCount == plain.innerByteCount)
    }
    if let plain = PlainOuterIPv6(bytes, udpPort: policy.udpPort, isTrusted: false), result.reason != .outerSourceInvalid {
      #expect(result.outcome == .accepted && result.vni == OuterHeader.vni(wireSegment: plain.wireSegment))
      #expect(result.source == plain.source && result.trafficClass == plain.trafficClass)
      #expect(result.innerOffset == PlainOuterIPv6.byteCount && result.innerByteCount == plain.innerByteCount)
    }
    return result
  }

  func flow(_ frame: [UInt8]) -> InnerFlow {
    InnerFlow(frame: UnsafeRawBufferPointer(load(frame)).bytes)
  }

  func decapsulateECN(_ outer: UInt8, _ frame: inout [UInt8]) -> Bool {
    let buffer = load(frame)
    var span = buffer.mutableBytes
    let mayPass = ECN.decapsulate(outerTrafficClass: outer, into: &span)
    frame = Array(buffer)
    return mayPass
  }

  func finishChecksum(_ frame: inout [UInt8]) -> UnfinishedChecksum.Outcome {
    let buffer = load(frame)
    var span = buffer.mutableBytes
    let outcome = UnfinishedChecksum.finish(frame: &span)
    frame = Array(buffer)
    return outcome
  }
}

/// A small generator with a seed (SplitMix64), so that failures can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

/// The folded one's-complement sum, word by word as in RFC 1071.
func referenceSum(_ data: [UInt8]) -> UInt16 {
  var sum = 0
  for offset in stride(from: 0, to: data.count, by: 2) {
    sum += Int(data[offset]) << 8 + (offset + 1 < data.count ? Int(data[offset + 1]) : 0)
    if sum > 0xffff { sum -= 0xffff }
  }
  return UInt16(sum)
}

extension Array where Element == UInt8 {
  func big16(_ offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  mutating func setBig16(_ value: UInt16, at offset: Int) {
    self[offset] = UInt8(value >> 8)
    self[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  /// Corrects the IPv4 header checksum after a test has changed the header at 14.
  mutating func repairIPv4Checksum() {
    setBig16(0, at: 24)
    setBig16(~referenceSum(Array(self[14..<14 + Int(self[14] & 0xf) * 4])), at: 24)
  }
}

func mac(_ text: String) -> MACAddress {
  guard let address = MACAddress(text) else { preconditionFailure("no MAC address: \(text)") }
  return address
}

func ip(_ text: String) -> IPAddress {
  guard let address = IPAddress(text) else { preconditionFailure("no IP address: \(text)") }
  return address
}

/// Encapsulates as a worker does: into a buffer full of 0xa5.
func encapsulate(_ frame: [UInt8], with header: OuterHeader, vni: UInt32, flow: InnerFlow? = nil) -> [UInt8] {
  let flow = flow ?? InnerFlow(frame: frame.span.bytes)
  let innerSum = InternetChecksum.partialSum(frame.span.bytes)
  var packet = [UInt8](repeating: 0xa5, count: header.byteCount)
  var headerArray = packet.mutableSpan
  var span = headerArray.mutableBytes
  header.write(
    into: &span, innerByteCount: frame.count, innerSum: innerSum, vni: VNI(truncating: vni), flow: flow)
  packet += frame
  return packet
}

extension PlainOuterIPv4 {
  /// To the destination that the packet has.
  init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool = false) {
    guard packet.byteCount >= 34 else { return nil }
    self.init(packet, Pattern(mac: nil, wireDestination: UInt64(packet.raw32(30)), udpPort: udpPort), isTrusted: isTrusted)
  }
}

extension PlainOuterIPv6 {
  init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool = false) {
    guard packet.byteCount >= 54 else { return nil }
    let destination = IPAddress(high: packet.big64(38), low: packet.big64(46))
    self.init(packet, Pattern(mac: nil, destination: destination, udpPort: udpPort), isTrusted: isTrusted)
  }
}
