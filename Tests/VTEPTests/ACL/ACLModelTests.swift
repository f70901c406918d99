// Access control lists against the plain model, and the text forms of their entries.

import Encap
import Testing

@testable import VTEP

@Suite("Access control lists")
struct ACLModelTests {
  private func compiled(_ settings: ACLSettings) throws -> CompiledACL {
    try CompiledACL(settings) { direction in (0...UInt32(settings.entries.count { $0.direction == direction })).map { $0 } }
  }

  @Test("100,000 random (rule set, frame) pairs: the entry that decides is the model's", arguments: 0..<10)
  func model(_ seed: Int) throws {
    var generator = RandomACL(random: SeededRandom(state: UInt64(seed) &* 7919 &+ 1))
    let key = FlowKey()
    defer { key.deallocate() }
    var decided = 0
    for _ in 0..<32 {
      let settings = generator.settings()
      guard !settings.entries.isEmpty else { continue }
      let acl = try compiled(settings)
      let ordered = settings.ordered(.ingress)
      for _ in 0..<400 {
        let bytes = generator.frame()
        bytes.withUnsafeBytes { key.read($0.bytes) }
        let verdict = acl.programs.ingress.verdict(on: key)
        let plain = PlainFrame(bytes)
        let expected = ordered.firstIndex { $0.agrees(with: plain) }
        if expected != nil { decided += 1 }
        #expect(verdict.slot == expected ?? ordered.count, "\(bytes.hex): \(expected.map { ordered[$0].text } ?? "none")")
        #expect(verdict.isDenied == (expected.map { ordered[$0].action == .deny } ?? false))
        guard verdict.slot == expected ?? ordered.count else { return }
      }
    }
    #expect((2000..<11_000).contains(decided), "the random lists and frames hardly meet, or always do")
  }

  @Test("the key of an earlier frame leaves nothing behind")
  func keyIsReused() throws {
    let key = FlowKey()
    defer { key.deallocate() }
    var entry = ACLEntry(sequence: 1, direction: .ingress, action: .deny)
    (entry.protocolNumber, entry.destinationPorts) = (17, 5000...5000)
    let acl = try compiled(ACLSettings(name: "a", entries: [entry]))
    let udp = Frame.udp(from: Topology.guest(1), to: Topology.guest(2))
    udp.withUnsafeBytes { key.read($0.bytes) }
    #expect(acl.programs.ingress.verdict(on: key).isDenied)
    for frame in [Frame.arpRequest(from: Topology.guest(1), target: 2), Array(udp.prefix(37)), Array(udp.prefix(14))] {
      frame.withUnsafeBytes { key.read($0.bytes) }
      #expect(!acl.programs.ingress.verdict(on: key).isDenied)
    }
  }

  @Test("4096 entries fit, and one more does not; nor do a thousand random masks")
  func limits() throws {
    var entry = ACLEntry(sequence: 1, direction: .egress, action: .deny)
    entry.protocolNumber = 6
    var all = (0..<4096).map { number in
      var entry = entry
      entry.sequence = Int64(number)
      entry.destinationPorts = UInt16(number)...UInt16(number)
      return entry
    }
    let acl = try compiled(ACLSettings(name: "a", entries: all))
    #expect(acl.programs.egress.entryCount == 4096 && acl.programs.ingress.isEmpty)
    #expect(acl.byteCount < 8 << 20)
    let key = FlowKey()
    defer { key.deallocate() }
    let frame = TCPFrame(from: Topology.guest(1), to: Topology.guest(2), byteCount: 100).bytes(finished: true)
    for port in [0, 63, 64, 4095, 4096] as [UInt16] {
      var frame = frame
      frame.replaceSubrange(36..<38, with: [UInt8].big16(port))
      frame.withUnsafeBytes { key.read($0.bytes) }
      #expect(acl.programs.egress.verdict(on: key).slot == Int(port))
    }
    all.append(entry)
    #expect(throws: CompiledACL.TooLarge.self) { try compiled(ACLSettings(name: "a", entries: all)) }
    #expect(throws: CompiledACL.TooLarge.self) { try compiled(.impossible("a")) }
  }

  @Test(
    "text of a field, read and written",
    arguments: [
      (.sourceMAC, "02:00:00:00:00:21", nil), (.sourceMAC, "2:0:0:0:0:0/ff:0:0:0:0:0", ""),
      (.destinationMAC, "02:00:00:00:00:ff/ff:00:00:00:00:00", "02:00:00:00:00:00/ff:00:00:00:00:00"), (.destinationMAC, "x", ""),
      (.etherType, "0x86dd", nil), (.etherType, "0X806", "0x0806"), (.etherType, "2048", ""),
      (.etherType, "0x10000", ""), (.etherType, "0x+1", ""),
      (.source, "192.0.2.1", nil), (.source, "192.0.2.9/24", "192.0.2.0/24"), (.source, "10.0.0.1/255.0.0.255", nil),
      (.source, "2001:DB8::/32", "2001:db8::/32"), (.source, "10.0.0.0/33", ""),
      (.source, "10.0.0.0/ffff::", ""), (.source, "10.0.0.0/+8", ""),
      (.destination, "::/0", nil), (.destination, "0.0.0.0/0", nil), (.destination, "10.0.0.0/8/8", ""),
      (.protocolNumber, "TCP", "tcp"), (.protocolNumber, "6", "tcp"), (.protocolNumber, "200", nil), (.protocolNumber, "256", ""),
      (.sourcePorts, "80", nil), (.sourcePorts, "1024-65535", nil), (.sourcePorts, "2-1", ""), (.destinationPorts, "-1", ""),
      (.tcpFlags, "+syn-ack", nil), (.tcpFlags, "0x02/0x12", "+syn-ack"), (.tcpFlags, "2", "0x002"), (.tcpFlags, "+syn+syn", ""),
      (.tcpFlags, "+", ""), (.tcpFlags, "0x1000", ""), (.tcpFlags, "0x400/0xc00", "0x400/0xc00"),
      (.icmpType, "8", nil), (.icmpCode, "x", ""),
    ] as [(ACLEntry.Key, String, String?)])
  func texts(_ key: ACLEntry.Key, _ text: String, _ written: String?) {
    var entry = ACLEntry(sequence: 1, direction: .ingress, action: .permit)
    let isRead = entry.set(key, text)
    #expect(isRead == (written != ""))
    #expect(entry.matches.first { $0.key == key }?.text == (written == "" ? nil : written ?? text))
  }

  @Test("entries that no frame could match are told")
  func contradictions() {
    func contradiction(_ fields: [(ACLEntry.Key, String)]) -> String? {
      var entry = ACLEntry(sequence: 1, direction: .ingress, action: .permit)
      for (key, text) in fields where !entry.set(key, text) { Issue.record("\(key) \(text)") }
      return entry.contradiction?.message
    }
    #expect(contradiction([]) == nil)
    #expect(contradiction([(.destinationPorts, "80")])?.contains("need protocol") == true)
    #expect(contradiction([(.destinationPorts, "80"), (.protocolNumber, "icmp")])?.contains("need protocol") == true)
    #expect(contradiction([(.destinationPorts, "80"), (.protocolNumber, "sctp")]) == nil)
    #expect(contradiction([(.tcpFlags, "+syn"), (.protocolNumber, "udp")])?.contains("need protocol tcp") == true)
    #expect(contradiction([(.icmpType, "8")])?.contains("need protocol icmp") == true)
    #expect(contradiction([(.icmpType, "8"), (.protocolNumber, "icmp"), (.source, "::1")])?.contains("is of IPv4") == true)
    #expect(contradiction([(.protocolNumber, "icmpv6"), (.etherType, "0x0800")])?.contains("is of IPv6") == true)
    #expect(contradiction([(.source, "10.0.0.0/8"), (.destination, "::/0")])?.contains("IPv4 and") == true)
    #expect(contradiction([(.source, "10.0.0.0/8"), (.etherType, "0x86dd")])?.contains("contradict") == true)
    #expect(contradiction([(.protocolNumber, "tcp"), (.etherType, "0x0806")])?.contains("IP packets") == true)
    #expect(contradiction([(.etherType, "0x8100")])?.contains("tag") == true)
    #expect(contradiction([(.etherType, "0x0100")])?.contains("length") == true)
  }
}
