// IPsec policies as the kernel lists them, and which packets they match.

import Encap
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct IPsecPolicyTests {
  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  @Test func policiesAreReadInTheKernelsOrder() throws {
    let host = try TestNamespace()
    try host.run {
      let policies = try #require(try IPsecPolicies(), "the kernel has IPsec")
      #expect(try policies.all() == [])
      #expect(!policies.haveChanged())
      let template = "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel"
      try host.ip("xfrm policy add dir out src 192.0.2.1/32 dst 192.0.2.0/24 proto udp dport 4789 priority 20 \(template)")
      try host.ip("xfrm policy add dir out src 192.0.2.1/32 dst 192.0.2.2/32 priority 10 action allow")
      try host.ip("xfrm policy add dir in src 2001:db8::/32 dst ::/0 proto tcp sport 7 priority 30 action block")
      try host.ip("xfrm policy add dir out src 192.0.2.1/32 dst 0.0.0.0/0 mark 7 mask 0xff priority 40 \(template)")
      #expect(policies.haveChanged())
      #expect(!policies.haveChanged())
      let all = try policies.all()
      try #require(all.count == 4)
      #expect(all.map(\.priority) == [10, 20, 30, 40])
      #expect(all.map(\.direction) == [.out, .out, .in, .out])
      #expect(all.map(\.restricts) == [false, true, true, true])
      #expect(all.map(\.isSpecial) == [false, false, false, true])
      #expect(all[1].description == "dir out src 192.0.2.1/32 dst 192.0.2.0/24 proto udp dport 4789 index \(all[1].index) priority 20")
      #expect(all[2].description == "dir in src 2001:db8::/32 dst ::/0 proto 6 sport 7 index \(all[2].index) priority 30")
      // The number is the one that `ip xfrm policy` accepts.
      try host.ip("xfrm policy delete dir out index \(all[1].index)")
      #expect(try policies.all().count == 3)
    }
  }

  @Test func policiesThatMatchOurPackets() throws {
    let host = try TestNamespace()
    try host.run {
      let policies = try #require(try IPsecPolicies())
      func matches(_ selector: String, port: UInt16 = 4789) throws -> Bool {
        try host.ip("xfrm policy add dir out \(selector) action block")
        let policy = try #require(try policies.all().first)
        try host.ip("xfrm policy flush")
        return policy.matches(from: address("192.0.2.1"), to: address("192.0.2.9"), udpPort: port)
      }
      #expect(try matches("src 192.0.2.1/32 dst 192.0.2.0/24"))
      #expect(try matches("src 0.0.0.0/0 dst 0.0.0.0/0 proto udp"))
      #expect(try matches("src 0.0.0.0/0 dst 0.0.0.0/0 proto udp sport 5000"), "some of our packets have this port")
      #expect(try matches("src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789"))
      #expect(try !matches("src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789", port: 4790))
      #expect(try !matches("src 0.0.0.0/0 dst 0.0.0.0/0 proto tcp dport 4789"))
      #expect(try !matches("src 192.0.2.2/32 dst 0.0.0.0/0"))
      #expect(try !matches("src 0.0.0.0/0 dst 192.0.2.8/32"))
      #expect(try !matches("src ::/0 dst ::/0"))
      #expect(try !matches("src 0.0.0.0/0 dst 0.0.0.0/0 mark 1 mask 1"))
    }
  }
}
