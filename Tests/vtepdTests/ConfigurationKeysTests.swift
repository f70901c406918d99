// The list of configuration keys for the manual page.

import Testing

@testable import vtepd

@Suite struct ConfigurationKeysTests {
  private let keys = ConfigurationKeys.all

  @Test(arguments: [
    "name", "underlay", "underlay.ttl", "underlay.dscp-to-pcp", "dataplane.cores", "protection.mac-move.window-seconds",
    "vnis[].macs[].vtep", "vnis[].storm-control.broadcast", "ports[].socket", "ports[].memif-id", "ports[].vlan-macs",
    "ports[].rate-limit.ingress.bits", "profiles.NAME.rate-limit.egress.packets", "ovsdb.ca-certificate", "ovsdb.stale-hold",
    "metrics.listen", "metrics.vnis",
  ])
  func aKeyOfEachPlaceIsThere(_ key: String) {
    #expect(keys.contains(key))
  }

  @Test func keysAreUniqueAndAccepted() {
    #expect(Set(keys).count == keys.count)
    #expect(!keys.contains("profiles.NAME.device"))
  }
}
