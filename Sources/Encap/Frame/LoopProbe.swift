// LoopProbe: the frame that a port sends to find out whether it comes back. Ethernet's own loop test (EtherType 0x9000,
// Ethernet 2.0 chapter 8) in the form of a reply, which no station acts on, to a group address that bridges flood.

/// Who sent a loop probe, and where.
public struct LoopProbe: Equatable, Sendable {
  /// The daemon's run: random, and in every probe of it.
  public var daemon: UInt64
  /// Known only to who sees what this port sends: nobody else can claim that its probe has come back.
  public var token: UInt64
  /// The sender's index of the port.
  public var port: UInt16
  /// VLAN tag that the probe left with; 0: none.
  public var vlan: UInt16
  public var vni: VNI

  public init(daemon: UInt64, token: UInt64, port: UInt16, vlan: UInt16, vni: VNI) {
    self.daemon = daemon
    self.token = token
    self.port = port
    self.vlan = vlan
    self.vni = vni
  }

  /// A locally administered group address: no standard keeps bridges from passing it on.
  @inlinable public static var destination: MACAddress { MACAddress(bits: 0x0380_c200_0000) }
  static var etherType: UInt16 { 0x9000 }
  /// "vtepd" and the version of the layout.
  static var magic: UInt64 { 0x7674_6570_6400_0001 }
  /// EtherType, skip count, function, receipt number, magic, daemon, token, port, VLAN, VNI.
  static var byteCount: Int { 2 + 6 + 8 + 8 + 8 + 2 + 2 + 4 }

  /// Octets of the frame with its tag: Ethernet's minimum.
  public static let frameByteCount = 60

  /// Writes the frame into the first `frameByteCount` bytes.
  ///
  /// - Parameter tpid: of the tag, where the probe leaves with one.
  public func write(into bytes: inout MutableRawSpan, source: MACAddress, tpid: UInt16) {
    for offset in 0..<Self.frameByteCount { bytes.storeByte(0, at: offset) }
    Self.destination.store(into: &bytes, at: 0)
    source.store(into: &bytes, at: 6)
    var offset = 12
    if vlan != 0 {
      bytes.storeBig16(tpid, at: offset)
      bytes.storeBig16(vlan, at: offset + 2)
      offset += EthernetView.tagByteCount
    }
    bytes.storeBig16(Self.etherType, at: offset)
    // The test's fields are little-endian; function 1 is a reply.
    bytes.storeBig16(0x0100, at: offset + 4)
    bytes.storeBig64(Self.magic, at: offset + 8)
    bytes.storeBig64(daemon, at: offset + 16)
    bytes.storeBig64(token, at: offset + 24)
    bytes.storeBig16(port, at: offset + 32)
    bytes.storeBig16(vlan, at: offset + 34)
    bytes.storeBig32(vni.rawValue, at: offset + 36)
  }

  /// Reads the probe in the frame that begins at `start`, behind at most two tags; nil for any other frame.
  public init?(parsing frame: RawSpan, at start: Int) {
    guard let offset = ControlFrame.typeOffset(frame, from: start), offset + Self.byteCount <= frame.byteCount,
      frame.big16(offset) == Self.etherType, frame.big64(offset + 8) == Self.magic
    else { return nil }
    self.init(
      daemon: frame.big64(offset + 16), token: frame.big64(offset + 24), port: frame.big16(offset + 32),
      vlan: frame.big16(offset + 34), vni: VNI(truncating: frame.big32(offset + 36)))
  }
}
