// Checksum arithmetic against the plain definition.
import Encap
import Testing

@Suite struct InternetChecksumTests {
  @Test func everyLengthAndAlignment() {
    var generator = SeededGenerator(state: 1071)
    let data = generator.bytes(1700)
    for count in Array(0...140) + [1499, 1500, 1501, 1690] {
      for start in 0..<8 {
        let part = Array(data[start..<start + count])
        let sum = data.span.bytes.extracting(start..<start + count)
        #expect(InternetChecksum.partialSum(sum) == UInt32(referenceSum(part)), "\(count) octets from \(start)")
      }
    }
  }

  @Test func allOnesDoNotOverflow() {
    let ones = [UInt8](repeating: 0xff, count: 65_535)
    #expect(InternetChecksum.partialSum(ones.span.bytes) == UInt32(referenceSum(ones)))
  }

  @Test func foldingKeepsTheValueModuloFFFF() {
    var generator = SeededGenerator(state: 3)
    let edges: [UInt64] = [0, 1, 0xffff, 0x1_0000, 0x1_fffe, 0xffff_ffff, 0xffff_0000, .max, .max - 1]
    for word in edges + (0..<1000).map({ _ in generator.next() }) {
      let expected = word == 0 ? 0 : UInt16((word - 1) % 0xffff) + 1
      #expect(InternetChecksum.fold(word) == expected)
      let half = UInt32(truncatingIfNeeded: word)
      #expect(InternetChecksum.fold(half) == (half == 0 ? 0 : UInt16((half - 1) % 0xffff) + 1))
    }
  }

  @Test func zeroIsNeverAComputedUDPChecksum() {
    #expect(InternetChecksum.complement(0xffff) == 0)
    #expect(InternetChecksum.complementUDP(0xffff) == 0xffff)
    #expect(InternetChecksum.complementUDP(0x1_fffe) == 0xffff)
    #expect(InternetChecksum.complementUDP(0x1234) == 0xedcb)
  }

  @Test func incrementalEqualsFull() {
    var generator = SeededGenerator(state: 1624)
    for _ in 0..<5_000 {
      var header = generator.bytes(20)
      header.setBig16(0, at: 10)
      let before = ~referenceSum(header)
      let position = [0, 2, 4, 6, 8, 12, 14, 16, 18][Int.random(in: 0..<9, using: &generator)]
      let old = header.big16(position)
      let new = UInt16.random(in: 0...0xffff, using: &generator)
      header.setBig16(new, at: position)
      #expect(InternetChecksum.updated(before, replacing: old, with: new) == ~referenceSum(header))
    }
  }

  @Test func addressesSumAsTheirOctets() {
    for text in ["192.0.2.1", "255.255.255.255", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
      #expect(InternetChecksum.fold(InternetChecksum.partialSum(ip(text))) == referenceSum(ip(text).bytes))
    }
  }
}
