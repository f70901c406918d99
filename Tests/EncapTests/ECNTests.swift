// Congestion marks through the tunnel: the table of RFC 6040 and its application to inner headers.
import Encap
import Testing

@Suite struct ECNTests {
  private static let notECT: UInt8 = 0, ect1: UInt8 = 1, ect0: UInt8 = 2, ce: UInt8 = 3

  /// RFC 6040 figure 4, row by row; nil is the drop.
  static let table: [(inner: UInt8, outer: UInt8, result: UInt8?)] = [
    (notECT, notECT, notECT), (notECT, ect0, notECT), (notECT, ect1, notECT), (notECT, ce, nil),
    (ect0, notECT, ect0), (ect0, ect0, ect0), (ect0, ect1, ect1), (ect0, ce, ce),
    (ect1, notECT, ect1), (ect1, ect0, ect1), (ect1, ect1, ect1), (ect1, ce, ce),
    (ce, notECT, ce), (ce, ect0, ce), (ce, ect1, ce), (ce, ce, ce),
  ]

  static let tags: [[UInt8]] = [[], [0x81, 0, 0, 100], [0x88, 0xa8, 0, 1, 0x81, 0, 0xe0, 2]]

  let buffer = GuardedBuffer()

  @Test(arguments: table)
  func combination(_ row: (inner: UInt8, outer: UInt8, result: UInt8?)) {
    #expect(ECN.decapsulated(outer: row.outer | 0xfc, inner: row.inner | 0xb8) == row.result)
    for tags in ECNTests.tags {
      // IPv4, DSCP EF, with a correct header checksum.
      var four =
        [UInt8](repeating: 2, count: 12) + [8, 0] + bytes("4500002800014000401100000a0100010a010002") + [1, 2, 3]
      four[15] = 0xb8 | row.inner
      four.repairIPv4Checksum()
      var six =
        [UInt8](repeating: 2, count: 12) + [0x86, 0xdd] + [0x6b, 0x8a, 0xbc, 0xde] + [UInt8](repeating: 6, count: 36)
      six[15] = 0x80 | row.inner << 4 | 0x0a
      for var frame in [four, six] {
        var expected = frame
        if let result = row.result {
          if frame[12] == 8 {
            expected[15] = 0xb8 | result
            expected.repairIPv4Checksum()
          } else {
            expected[15] = 0x80 | result << 4 | 0x0a
          }
        }
        frame.insert(contentsOf: tags, at: 12)
        expected.insert(contentsOf: tags, at: 12)
        #expect(buffer.decapsulateECN(0x28 | row.outer, &frame) == (row.result != nil))
        #expect(frame == expected)
      }
    }
  }

  @Test func framesWithoutIPStayAsTheyAre() {
    for type in ["0806", "88cc", "0800 65", "86dd 45", "8100 0001 8100 0002 8100 0003 0800 4500"] {
      let frame = [UInt8](repeating: 2, count: 12) + bytes(type) + [UInt8](repeating: 0, count: 60)
      var changed = frame
      #expect(buffer.decapsulateECN(3, &changed) && changed == frame, "\(type)")
    }
  }

  /// The incremental update would turn a checksum field of 0xffff into 0.
  @Test func framesWithoutChangeStayAsTheyAre() {
    let frame = [UInt8](repeating: 2, count: 12) + bytes("0800 45030028000140004011ffff0a0100010a010002")
    var changed = frame
    #expect(buffer.decapsulateECN(3, &changed) && changed == frame)
  }

  /// Truncated anywhere: nothing beyond the end is touched, and an incomplete header is left alone.
  @Test func truncatedFrames() {
    for tags in ECNTests.tags {
      for ip in [
        bytes("0800 4500002800014000401100000a0100010a010002"),
        bytes("86dd 6000000000143a40") + [UInt8](repeating: 1, count: 32),
      ] {
        let frame = [UInt8](repeating: 2, count: 12) + tags + ip
        for count in 0..<frame.count {
          var cut = Array(frame[..<count])
          #expect(buffer.decapsulateECN(3, &cut) && cut == Array(frame[..<count]))
        }
        var whole = frame
        #expect(!buffer.decapsulateECN(3, &whole))
      }
    }
  }
}
