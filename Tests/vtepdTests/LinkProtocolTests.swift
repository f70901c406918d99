// Settings of link-local protocols and guards: read, written, inherited, and rejected if two taps would have the same name.

import Testing
import VTEP

@testable import vtepd

@Suite struct LinkProtocolTests {
  private let head = "underlay: {addresses: [192.0.2.1], device: eth0}\nvnis: [{vni: 1, flood: none}]\n"

  private func load(_ text: String) throws -> Configuration {
    try ConfigurationLoader(hostName: "host").load(text: head + text, file: "f")
  }

  @Test func settingsAreReadWrittenAndInherited() throws {
    let text = """
      protection: {loop-probe: {interval-seconds: 2, hold-seconds: 30}, bpdu-guard: {hold-seconds: 40}}
      profiles: {edge: {l2-protocols: tunnel, bpdu-guard: true, loop-probe: true}}
      ports:
        - {name: a, kind: tap, device: ta, profile: edge}
        - {name: b, kind: tap, device: tb, profile: edge, l2-protocols: punt, bpdu-guard: false, loop-probe: false}
        - {name: c, kind: tap, device: tc}

      """
    let configuration = try load(text)
    let ports = configuration.desired.ports
    let a = try #require(ports["a"])
    let b = try #require(ports["b"])
    let c = try #require(ports["c"])
    #expect(a.linkProtocols == .tunnel && a.hasBPDUGuard && a.probesLoops && a.puntTapName == nil)
    #expect(b.linkProtocols == .punt && !b.hasBPDUGuard && !b.probesLoops && b.puntTapName == "punt-b")
    #expect(c.linkProtocols == .drop && !c.hasBPDUGuard && !c.probesLoops)
    #expect(configuration.desired.protection.loopProbe.intervalSeconds == 2 && configuration.desired.protection.loopProbe.holdSeconds == 30)
    #expect(configuration.desired.protection.bpduGuard.holdSeconds == 40)
    #expect(try ConfigurationLoader(hostName: "host").load(text: configuration.yaml(), file: "f") == configuration)
  }

  @Test func tapNamesFitTheKernelAndDiffer() throws {
    func tap(_ name: String) -> String? {
      var port = PortSettings(name: name, kind: .tap, device: "t")
      port.linkProtocols = .punt
      return port.puntTapName
    }
    #expect(tap("abcdefghij") == "punt-abcdefghij")
    let long = ["rack1-server01-nic1", "rack1-server01-nic2", "rack1-server02-nic1"].compactMap(tap)
    #expect(Set(long).count == 3 && long.allSatisfy { $0.utf8.count == 15 && $0.hasPrefix("punt-rack1-") })
  }

  @Test func aTapNamedLikeAnotherInterfaceIsRefused() throws {
    let error = try #require(throws: ConfigurationError.self) {
      try load("ports: [{name: a, kind: netdev, device: punt-b}, {name: b, kind: tap, device: tb, l2-protocols: punt}]\n")
    }
    #expect(error.lines == ["f:3:97: its punt tap punt-b would have the name of port a's interface; rename the port"], "\(error)")
    #expect(throws: ConfigurationError.self) { try load("ports: [{name: a, kind: tap, device: ta, l2-protocols: pass}]\n") }
  }
}
