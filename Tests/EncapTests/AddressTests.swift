// MAC and IP addresses: numbers, classes, text.
import Encap
import Glibc
import Testing

@Suite struct MACAddressTests {
  @Test func firstOctetOnTheWireIsTheHighestOfTheNumber() {
    let wire: [UInt8] = [0xa5, 0x02, 0x00, 0x5e, 0x10, 0xfe, 0x01, 0xa5]
    let address = MACAddress(loading: wire.span.bytes, at: 1)
    #expect(address.bits == 0x0200_5e10_fe01)
    var buffer = [UInt8](repeating: 0xa5, count: 8)
    var array = buffer.mutableSpan
    var span = array.mutableBytes
    address.store(into: &span, at: 1)
    #expect(buffer == wire)
  }

  @Test func bitsAboveTheAddressAreDiscarded() {
    #expect(MACAddress(bits: .max) == .broadcast)
  }

  @Test(arguments: ["00:00:00:00:00:00", "02:00:5e:10:fe:01", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:0e"])
  func textSurvives(_ text: String) {
    #expect(mac(text).description == text)
  }

  @Test func otherSpellingsAreParsed() {
    #expect(mac("02-00-5E-10-FE-01") == mac("02:00:5e:10:fe:01"))
    #expect(mac("AA:BB:CC:DD:EE:FF").description == "aa:bb:cc:dd:ee:ff")
  }

  @Test(arguments: [
    "", "02:00:5e:10:fe", "02:00:5e:10:fe:01:02", "2:0:5e:10:fe:1", "02:00:5e:10:fe:0g", "02005e10fe01",
    "02:00:5e:10:fe-01", "02-00:5e:10:fe:01", " 02:00:5e:10:fe:01", "02:00:5e:10:fe:01 ", "02 00 5e 10 fe 01",
    "0２:00:5e:10:fe:0",
  ])
  func otherTextIsRefused(_ text: String) {
    #expect(MACAddress(text) == nil)
  }

  @Test func classes() {
    #expect(mac("01:00:5e:00:00:01").isMulticast)
    #expect(MACAddress.broadcast.isMulticast && MACAddress.broadcast.isBroadcast)
    #expect(!mac("fe:ff:ff:ff:ff:ff").isMulticast && !mac("ff:ff:ff:ff:ff:fe").isBroadcast)
    #expect(MACAddress.zero.isZero && !mac("00:00:00:00:00:01").isZero)
    for last in UInt64(0)...0x1f {
      #expect(MACAddress(bits: 0x0180_c200_0000 | last).isLinkLocalControl == (last < 16))
    }
    #expect(!mac("01:80:c2:00:01:00").isLinkLocalControl && !mac("00:80:c2:00:00:00").isLinkLocalControl)
  }

  @Test func orderFollowsTheOctets() {
    #expect(mac("00:ff:ff:ff:ff:ff") < mac("01:00:00:00:00:00"))
  }
}

@Suite struct IPAddressTests {
  /// Canonical forms (RFC 5952) of the adjacent texts.
  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
    ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::0001", "2001:db8::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:201", "192.0.2.1"),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("fe80::a:b:c:d", "fe80::a:b:c:d"),
    ("1:0:0:2::", "1:0:0:2::"), ("ff05::100", "ff05::100"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
  ])
  func canonicalText(_ text: String, _ canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
    #expect(IPAddress(canonical) == IPAddress(text))
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "1.2.3.", ".1.2.3",
    "1.2.3.-4",
    "1.2.3.+4", "0x1.2.3.4", "1.2.3.0000", ":", ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "fe80::1%eth0", "::1/128", "1.2.3.4::", "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4", "::256.0.0.1", "::1.2.3", "[::1]", "1:2:3:4::5:6:7:8", "1:::2",
  ])
  func otherTextIsRefused(_ text: String) {
    #expect(IPAddress(text) == nil)
  }

  /// The C library is the reference for which texts are addresses, and for their value.
  @Test func randomTextIsReadLikeTheLibrary() {
    var generator = SeededGenerator(state: 5952)
    let alphabet = Array("0123456789abcdefF:::::..ff0012")
    var accepted = 0
    for round in 0..<20_000 {
      var text: String
      if round % 2 == 0 {
        text = String(
          (0..<Int.random(in: 2...16, using: &generator)).map { _ in
            alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
          })
      } else {
        text =
          IPAddress(high: generator.next() & generator.next(), low: generator.next() & generator.next()).description
        let position = text.index(text.startIndex, offsetBy: Int.random(in: 0..<text.count, using: &generator))
        text.replaceSubrange(
          position...position, with: ["", "0", ":", "::", ".", "1"][Int.random(in: 0..<6, using: &generator)])
      }
      var six = in6_addr()
      var four = in_addr()
      var expected: [UInt8]?
      if inet_pton(AF_INET6, text, &six) == 1 {
        expected = withUnsafeBytes(of: &six) { Array($0) }
      } else if inet_pton(AF_INET, text, &four) == 1 {
        expected = withUnsafeBytes(of: &four) { Array($0) }
      }
      if expected != nil { accepted += 1 }
      #expect(IPAddress(text) == expected.flatMap { IPAddress(bytes: $0) }, "\(text)")
    }
    #expect(accepted > 2_000)
  }

  @Test func bytesAreInNetworkOrder() {
    #expect(ip("192.0.2.1").bytes == [192, 0, 2, 1])
    #expect(ip("2001:db8::1:2").bytes == [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2])
    #expect(IPAddress(bytes: [192, 0, 2, 1]) == IPAddress(ipv4: 0xc000_0201))
    #expect(IPAddress(bytes: ip("2001:db8::1:2").bytes) == ip("2001:db8::1:2"))
    #expect(IPAddress(bytes: [1, 2, 3]) == nil && IPAddress(bytes: []) == nil)
  }

  @Test func classes() {
    let multicast = ["224.0.0.1", "239.255.255.255", "ff00::", "ff05::100"]
    let loopback = ["127.0.0.1", "127.255.255.255", "::1"]
    let unspecified = ["0.0.0.0", "::"]
    let linkLocal = ["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"]
    let none = [
      "223.255.255.255", "240.0.0.0", "fe00::1", "fec0::1", "126.255.255.255", "128.0.0.0", "::2", "0.0.0.1", "1::",
      "169.253.255.255", "169.255.0.0", "255.255.255.254",
    ]
    for text in multicast + loopback + unspecified + linkLocal + none {
      #expect(ip(text).isMulticast == multicast.contains(text), "\(text)")
      #expect(ip(text).isLoopback == loopback.contains(text), "\(text)")
      #expect(ip(text).isUnspecified == unspecified.contains(text), "\(text)")
      #expect(ip(text).isLinkLocal == linkLocal.contains(text), "\(text)")
      #expect(ip(text).isIPv4 == text.contains("."), "\(text)")
      #expect(!ip(text).isLimitedBroadcast)
    }
    #expect(ip("255.255.255.255").isLimitedBroadcast)
  }

  @Test func groupsMapToEthernetGroups() {
    #expect(ip("239.1.1.1").multicastMAC.description == "01:00:5e:01:01:01")
    #expect(ip("239.129.1.1").multicastMAC.description == "01:00:5e:01:01:01")
    #expect(ip("ff05::1:ff12:3456").multicastMAC.description == "33:33:ff:12:34:56")
  }

  @Test func orderIsNumericWithinAFamily() {
    #expect(ip("9.0.0.1") < ip("10.0.0.0"))
    #expect(ip("2001:db8::2") < ip("2001:db8:1::"))
    #expect(ip("255.255.255.255") < ip("2001:db8::"))
  }
}

@Suite struct IPPrefixTests {
  @Test func containsOnlyItsAddresses() {
    let prefix = IPPrefix("192.0.2.128/25")
    #expect(prefix?.contains(ip("192.0.2.128")) == true && prefix?.contains(ip("192.0.2.255")) == true)
    #expect(prefix?.contains(ip("192.0.2.127")) == false && prefix?.contains(ip("::1")) == false)
    let six = IPPrefix("2001:db8:8000::/33")
    #expect(six?.contains(ip("2001:db8:ffff::1")) == true && six?.contains(ip("2001:db8:7fff::1")) == false)
    #expect(IPPrefix("2001:db8::/65")?.contains(ip("2001:db8::7fff:0:0:1")) == true)
    #expect(IPPrefix("2001:db8::/65")?.contains(ip("2001:db8::8000:0:0:1")) == false)
    #expect(IPPrefix("2001:db8::1/128")?.contains(ip("2001:db8::2")) == false)
  }

  @Test func defaultRoutesHoldTheirFamily() {
    #expect(IPPrefix("0.0.0.0/0")?.contains(ip("255.0.0.1")) == true)
    #expect(IPPrefix("0.0.0.0/0")?.contains(ip("2001:db8::1")) == false)
    #expect(IPPrefix("::/0")?.contains(ip("2001:db8::1")) == true)
    #expect(IPPrefix("::/0")?.contains(ip("192.0.2.1")) == false)
  }

  @Test func textAndHostBits() {
    #expect(IPPrefix("192.0.2.129/25")?.description == "192.0.2.128/25")
    #expect(IPPrefix("2001:db8::1/64")?.description == "2001:db8::/64")
    #expect(IPPrefix(address: ip("10.1.2.3"), length: 32)?.description == "10.1.2.3/32")
    for text in [
      "192.0.2.0", "192.0.2.0/33", "::/129", "192.0.2.0/", "/8", "192.0.2.0/+8", "192.0.2.0/08", "1.2.3.4/8/8", "::/-1",
    ] {
      #expect(IPPrefix(text) == nil, "\(text)")
    }
    #expect(IPPrefix(address: ip("10.1.2.3"), length: -1) == nil)
  }
}

@Suite struct VNITests {
  @Test func only24Bits() {
    #expect(VNI(0)?.rawValue == 0 && VNI(16_777_215)?.rawValue == 0xff_ffff)
    #expect(VNI(16_777_216) == nil && VNI(-1) == nil && VNI(Int64.max) == nil && VNI(UInt64.max) == nil)
    #expect(VNI(UInt8(255))?.description == "255")
    #expect(VNI(truncating: 0xab12_3456).rawValue == 0x12_3456)
  }
}
