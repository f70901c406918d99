// The names that scripts rely on, and the texts that operators read.
import Encap
import Testing

@Suite struct DropReasonTests {
  @Test func rawValuesIndexAnArray() {
    #expect(DropReason.allCases.map(\.rawValue) == Array(0..<UInt8(DropReason.count)))
  }

  @Test func namesAndDescriptionsAreUnique() {
    #expect(Set(DropReason.allCases.map(\.name)).count == DropReason.count)
    #expect(Set(DropReason.allCases.map(\.description)).count == DropReason.count)
  }

  @Test(arguments: DropReason.allCases)
  func nameIsTheCaseInKebabCase(_ reason: DropReason) {
    let letters = reason.name.filter { $0 != "-" }
    // The case itself, as reflection spells it.
    #expect("\(reason)".lowercased() == letters)
    #expect(reason.name.allSatisfy { $0 == "-" || $0.isLowercase || $0.isNumber })
    #expect(!reason.name.contains("--") && !reason.name.hasPrefix("-"))
  }

  @Test func namesInUse() {
    #expect(DropReason.outerIPv4Checksum.name == "outer-ipv4-checksum")
    #expect(DropReason.udp6ZeroChecksum.name == "udp6-zero-checksum")
    #expect(DropReason.unknownVNI.name == "unknown-vni")
    #expect(DropReason.innerVLAN.name == "inner-vlan")
    #expect(DropReason.vlanNotBound.name == "vlan-not-bound")
  }

  @Test(arguments: DropReason.allCases)
  func descriptionIsOneLine(_ reason: DropReason) {
    #expect(!reason.description.contains("\n") && reason.description.count > 20 && reason.description.count < 300)
  }

  @Test func remediesAreNamed() {
    #expect(DropReason.refusedByKernel.description.contains("nft list ruleset; tc filter show dev IF egress"))
    #expect(DropReason.udpChecksum.description.contains("ethtool -K IF tx off"))
    #expect(DropReason.udp6ZeroChecksum.description.contains("udp6-zero-checksum-rx"))
    #expect(DropReason.innerVLAN.description.contains("inner-vlan: carry"))
    #expect(DropReason.peerNotAllowed.description.contains("accept-from: peers"))
  }
}
