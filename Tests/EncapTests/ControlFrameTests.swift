// Control frames and loop probes, octet by octet; the BPDUs are those of IEEE 802.1Q-2018 14.2 and of Cisco's PVST+.
import Encap
import Testing

@Suite struct ControlFrameTests {
  private func mac(_ text: String) throws -> MACAddress { try #require(MACAddress(text)) }

  @Test func addressesThatMayBeControl() throws {
    for text in ["01:80:c2:00:00:00", "01:80:c2:00:00:0f", "01:80:c2:00:00:21", "03:80:c2:00:00:00", "01:00:0c:cc:cc:cd"] {
      #expect(try mac(text).mayBeControl, "\(text)")
    }
    for text in [
      "01:80:c2:01:00:00", "00:80:c2:00:00:00", "05:80:c2:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "01:81:c2:00:00:00",
      "02:00:00:00:00:01", "01:80:c3:00:00:00",
    ] {
      #expect(try !mac(text).mayBeControl, "\(text)")
    }
    #expect(LoopProbe.destination.mayBeControl && !LoopProbe.destination.isLinkLocalControl && LoopProbe.destination.isMulticast)
    #expect(try mac("01:80:c2:00:00:01").isMACControl && mac("01:80:c2:00:00:04").isMACControl)
    #expect(try !mac("01:80:c2:00:00:00").isMACControl && !mac("01:80:c2:00:00:0e").isMACControl)
  }

  private static let source = "02 00 00 00 00 01"
  private static let bpdu = "00 26 42 42 03 0000 00 00 00 " + String(repeating: "00 ", count: 30)
  private static let pvst = "00 32 aa aa 03 00 00 0c 01 0b 0000 00 00 00 " + String(repeating: "00 ", count: 30)

  @Test(arguments: [
    ("01 80 c2 00 00 00", "", bpdu), ("01 80 c2 00 00 08", "", bpdu), ("01 80 c2 00 00 00", "8100 0064", bpdu),
    ("01 80 c2 00 00 00", "88a8 0064 8100 0001", bpdu), ("01 00 0c cc cc cd", "", pvst), ("01 00 0c cc cc cd", "8100 0064", pvst),
  ])
  func bpdus(_ destination: String, _ tags: String, _ body: String) {
    let frame = bytes(destination + Self.source + tags + body)
    #expect(isBPDU(frame))
    let isLongEnough = frame.count - bytes(body).count + 10
    for count in 0..<isLongEnough { #expect(!isBPDU(Array(frame[..<count])), "\(count) octets") }
  }

  @Test(arguments: [
    // LLDP by its EtherType; an LLC frame that is not a BPDU; a BPDU's bytes to a station; CDP, SNAP with another protocol; three
    // tags.
    ("01 80 c2 00 00 00", "", "88cc 4242 0300 0000 0000 0000"), ("01 80 c2 00 00 00", "", "0026 fefe 0300 0000 0000 0000"),
    ("02 00 00 00 00 02", "", bpdu), ("01 00 0c cc cc cd", "", "0032 aaaa 0300 000c 2000 0000"), ("01 80 c2 00 00 0e", "", bpdu),
    ("01 80 c2 00 00 00", "8100 0001 8100 0001 8100 0001", bpdu),
  ])
  func others(_ destination: String, _ tags: String, _ body: String) {
    #expect(!isBPDU(bytes(destination + Self.source + tags + body)))
  }

  private func isBPDU(_ frame: [UInt8]) -> Bool {
    let buffer = GuardedBuffer()
    return ControlFrame.isBPDU(UnsafeRawBufferPointer(buffer.load(frame)).bytes)
  }

  @Test func generalTraffic() {
    func isGeneral(_ hex: String) -> Bool {
      let buffer = GuardedBuffer()
      return ControlFrame.isGeneralTraffic(UnsafeRawBufferPointer(buffer.load(bytes(hex))).bytes)
    }
    let station = "02 00 00 00 00 02"
    for type in ["0800", "0806", "86dd", "8100 0001 0800"] { #expect(isGeneral(station + Self.source + type + "0000"), "\(type)") }
    #expect(isGeneral("33 33 00 00 00 16" + Self.source + "86dd"))
    // EAPOL to a station, CDP, STP, LLDP.
    for (destination, type) in [
      (station, "888e"), ("01 00 0c cc cc cc", "0032 aaaa"), ("01 80 c2 00 00 00", "0026"),
    ] {
      #expect(!isGeneral(destination + Self.source + type))
    }
    #expect(!isGeneral("01 80 c2 00 00 0e" + Self.source + "0800"))
    #expect(isGeneral("02 00 00"))
  }

  @Test func probeOnTheWire() throws {
    let probe = LoopProbe(
      daemon: 0x1122_3344_5566_7788, token: 0x99aa_bbcc_ddee_ff01, port: 0x0203, vlan: 0x0064, vni: VNI(truncating: 0x01_2345))
    let body = "9000 0000 0100 0000 7674 6570 6400 0001 1122 3344 5566 7788 99aa bbcc ddee ff01 0203 0064 0001 2345"
    let golden = bytes("03 80 c2 00 00 00 02 00 00 00 00 01 88a8 0064" + body)
    #expect(try written(probe, tpid: 0x88a8) == golden + [UInt8](repeating: 0, count: 60 - golden.count))
    var untagged = probe
    untagged.vlan = 0
    let short = try written(untagged, tpid: 0x8100)
    #expect(short.count == 60 && Array(short[12..<18]) == bytes("9000 0000 0100"))
    for frame in [golden, short] {
      #expect(parsed(frame)?.token == probe.token && parsed(frame)?.vni == probe.vni && parsed(frame)?.port == probe.port)
    }
    #expect(parsed(golden) == probe && parsed(short) == untagged)
    // With the tag of another hop, or in the middle of a packet.
    #expect(parsed(Array(golden[..<12]) + bytes("8100 0007") + golden[12...]) == probe)
    #expect(parsed([1, 2, 3] + golden, at: 3) == probe)
    for count in 0..<golden.count { #expect(parsed(Array(golden[..<count])) == nil, "\(count) octets") }
    // EtherType, first and last octet of the magic.
    for offset in [16, 24, 31] {
      var other = golden
      other[offset] ^= 0x80
      #expect(parsed(other) == nil, "octet \(offset)")
    }
  }

  private func written(_ probe: LoopProbe, tpid: UInt16) throws -> [UInt8] {
    var frame = [UInt8](repeating: 0xa5, count: LoopProbe.frameByteCount)
    let source = try mac("02:00:00:00:00:01")
    frame.withUnsafeMutableBytes { buffer in
      var span = buffer.mutableBytes
      probe.write(into: &span, source: source, tpid: tpid)
    }
    return frame
  }

  private func parsed(_ frame: [UInt8], at start: Int = 0) -> LoopProbe? {
    let buffer = GuardedBuffer()
    return LoopProbe(parsing: UnsafeRawBufferPointer(buffer.load(frame)).bytes, at: start)
  }
}
