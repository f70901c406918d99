// The kernel's lists of groups, in the format of Linux 6.18.

import Encap
import Testing

@testable import MulticastLearn

@Suite struct KernelGroupsTests {
  @Test func ipv4() {
    let text = """
      Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
      1\tlo        :     1      V3
      \t\t\t\t010000E0     1 0:00000000\t\t0
      7\tu0        :     2      V3
      \t\t\t\t010101EF     1 0:00000000\t\t0
      \t\t\t\t010000E0     1 1:00000012\t\t0
      """
    let all = IPAddress(ipv4: 0xe000_0001)
    #expect(
      KernelGroups.ipv4(text) == [
        .init(group: all, interfaceIndex: 1), .init(group: all, interfaceIndex: 7),
        .init(group: IPAddress(ipv4: 0xef01_0101), interfaceIndex: 7),
      ])
  }

  @Test func ipv6() {
    let text = """
      1    lo              ff020000000000000000000000000001     1 0000000C 0
      12   u0              ff050000000000000000000000000100     2 00000004 0
      """
    #expect(
      KernelGroups.ipv6(text) == [
        .init(group: IPAddress(high: 0xff02 << 48, low: 1), interfaceIndex: 1),
        .init(group: IPAddress(high: 0xff05 << 48, low: 0x100), interfaceIndex: 12),
      ])
  }

  @Test func linkLayer() {
    let text = """
      1    lo              1     0     3333000000fb
      12   u0              2     0     01005e000001
      12   u0              1     0     0180c200000e
      12   u0              1     0     nonsense0000
      """
    #expect(
      LinkGroups.parse(text, interfaceIndex: 12) == [MACAddress(bits: 0x0100_5e00_0001), MACAddress(bits: 0x0180_c200_000e)])
    #expect(LinkGroups.parse(text, interfaceIndex: 2).isEmpty)
  }

  @Test func nonsense() {
    for text in ["", "\n", "x y", "7", "\t\t010000E0", "7 u0 : 1 V3\n\t\tzz", "12 u0 ff05"] {
      #expect(KernelGroups.ipv4(text).isEmpty)
      #expect(KernelGroups.ipv6(text).isEmpty)
    }
  }
}
