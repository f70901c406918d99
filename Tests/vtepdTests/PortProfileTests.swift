// Profiles and the keys they share with ports: read, overridden, applied to every port, and written back.

import Encap
import Testing
import VTEPControl

@testable import VTEP
@testable import vtepd

private let head = """
  underlay: {addresses: [192.0.2.1], device: eth0}
  vnis: [{vni: 1, flood: none}, {vni: 2, flood: none}]

  """

@Suite struct PortProfileTests {
  private func load(_ text: String) throws -> Configuration {
    try ConfigurationLoader(hostName: "h").load(text: head + text, file: "f.yaml")
  }

  private func problems(_ text: String) -> [String] {
    do throws(ConfigurationError) {
      _ = try ConfigurationLoader(hostName: "h").load(text: head + text, file: "f")
      return []
    } catch {
      return error.lines
    }
  }

  private let full = """
    profiles:
      tenant:
        vni: 1
        vlans: {7: 2}
        mtu: 1400
        enabled: true
        anti-spoofing: false
        mac-limit: 4
        rate-limit: {ingress: {bits: 1000000, packets: 2000}, egress: {bits: 3000000, packets: 4000}}
        storm-control: {broadcast: 10, unknown-unicast: 20, unknown-multicast: 30}
      empty:
    ports:
      - {name: a, kind: tap, device: ta, profile: tenant}
      - name: b
        kind: tap
        device: tb
        profile: tenant
        vni: 2
        mac-limit: 0
        rate-limit: {ingress: {bits: 5000000}}
        storm-control: {broadcast: 0}
        enabled: false
      - {name: c, kind: tap, device: tc, profile: empty}

    """

  @Test func portsTakeUnsetKeysFromProfiles() throws {
    let ports = try load(full).desired.ports
    let a = try #require(ports["a"])
    let b = try #require(ports["b"])
    let c = try #require(ports["c"])
    let one = try #require(VNI(1))
    let two = try #require(VNI(2))
    #expect(a.vni == one && a.vlans == [7: two] && a.mtu == 1400 && a.isEnabled && a.policy.macLimit == 4)
    #expect(a.policy.ingress == PortPolicy.Rate(bits: 1_000_000, packets: 2000))
    #expect(a.policy.egress == PortPolicy.Rate(bits: 3_000_000, packets: 4000))
    #expect(a.policy.storm == StormLimits(broadcast: 10, unknownUnicast: 20, unknownMulticast: 30))
    #expect(b.vni == two && b.vlans == [7: two] && b.mtu == 1400 && !b.isEnabled && b.policy.macLimit == 0)
    // Single keys are overridden, their neighbours are not.
    #expect(b.policy.ingress == PortPolicy.Rate(bits: 5_000_000, packets: 2000))
    #expect(b.policy.storm == StormLimits(broadcast: 0, unknownUnicast: 20, unknownMulticast: 30))
    #expect(c.vni == nil && c.isEnabled && c.policy == PortPolicy())
  }

  @Test func whatIsWrittenLoadsAsTheSame() throws {
    let configuration = try load(full)
    let text = try configuration.yaml()
    let again = try ConfigurationLoader(hostName: "h").load(text: text, file: "g")
    #expect(again == configuration, "\(text)")
    #expect(try again.yaml() == text)
  }

  @Test func changedProfileReachesAllItsPorts() throws {
    let old = try load(full)
    let new = try load(full.replacing("mac-limit: 4", with: "mac-limit: 9"))
    // In the meantime vtepctl has changed one port and added another.
    var running = old.desired
    running.ports["a"]?.mtu = 1300
    var added = PortSettings(name: "x", kind: .tap, device: "tx")
    added.profile = "tenant"
    running.ports["x"] = added
    running.resolveProfiles()
    #expect(running.ports["x"]?.policy.macLimit == 4)

    let merged = try running.merging(from: old.desired, to: new.desired)
    #expect(merged.ports["a"]?.policy.macLimit == 9 && merged.ports["x"]?.policy.macLimit == 9)
    #expect(merged.ports["b"]?.policy.macLimit == 0)
    #expect(merged.ports["a"]?.mtu == 1300)
    #expect(old.desired.changes(to: new.desired) == ["profile tenant changed", "port a changed", "port b changed"])
  }

  @Test func profileInUseCannotBeRemoved() throws {
    let old = try load("profiles: {p: {vni: 1}, q: {vni: 2}}\n")
    let new = try load("profiles: {q: {vni: 2}}\n")
    var running = old.desired
    running.ports["x"] = PortSettings(name: "x", kind: .tap, device: "tx")
    running.ports["x"]?.profile = "p"
    running.resolveProfiles()
    let error = #expect(throws: ControlError.self) { try running.merging(from: old.desired, to: new.desired) }
    #expect(error?.message == "port x: there is no profile 'p'")
  }

  @Test(arguments: [
    ("ports: [{name: a, kind: tap, device: ta, profile: p}]\n", ["f:3:51: there is no profile 'p'"]),
    ("profiles: {p: {vni: 9}}\n", ["f:3:21: VNI 9 is not defined"]),
    // Reported once, at the place of the mistake.
    ("profiles: {p: {vni: 9}}\nports: [{name: a, kind: tap, device: ta, profile: p}]\n", ["f:3:21: VNI 9 is not defined"]),
    ("profiles: {p: {mac: 9}}\n", ["f:3:16: profile p: unknown key 'mac'"]),
    ("profiles: {p: {device: x}}\n", ["f:3:16: profile p: unknown key 'device'"]),
    ("profiles: {p: 3}\n", ["f:3:15: profile p must be a mapping of keys to values, not '3'"]),
    (
      "ports: [{name: a, kind: tap, device: ta, vni: 1, anti-spoofing: true}]\n",
      ["f:3:65: anti-spoofing needs macs: no source address would be accepted"]
    ),
    (
      "profiles: {p: {anti-spoofing: true}}\nports: [{name: a, kind: tap, device: ta, vni: 1, profile: p}]\n",
      ["f:4:9: anti-spoofing needs macs: no source address would be accepted"]
    ),
    (
      "ports: [{name: a, kind: tap, device: ta, vlans: {5: 1}, anti-spoofing: true}]\n",
      ["f:3:72: anti-spoofing needs vlan-macs for VLAN 5: no source address would be accepted in it"]
    ),
    (
      "ports: [{name: a, kind: tap, device: ta, mac-limit: -1, rate-limit: {ingress: {bits: 1e6}, egres: 3}}]\n",
      [
        "f:3:53: mac-limit must be a whole number from 0 to 16777216, not '-1'",
        "f:3:86: bits must be a whole number from 0 to 1000000000000, not '1e6'",
        "f:3:92: port: rate-limit: unknown key 'egres', did you mean 'egress'?",
      ]
    ),
    (
      "ports: [{name: a, kind: tap, device: ta, storm-control: {multicast: 1}}]\n",
      ["f:3:58: port: storm-control: unknown key 'multicast'"]
    ),
  ])
  func mistakesAreShownWhereTheyStand(_ text: String, _ expected: [String]) {
    let found = problems(text)
    #expect(found.count == expected.count, "\(found)")
    for (line, start) in zip(found, expected) { #expect(line.hasPrefix(start), "\(line)") }
  }

  // -- vtepctl port set --------------------------------------------------------------------------------------------------

  private func set(_ settings: [String: SettingValue], _ name: String = "b") throws -> DesiredState {
    try load(full).desired.applying(SetPort(name: name, settings: settings))
  }

  @Test func setChangesOnlyTheGivenKeys() throws {
    let before = try load(full).desired
    var port = try #require(before.ports["b"])
    port.macLimit = 7
    port.egressPackets = 9
    port.isEnabled = true
    let given: [String: SettingValue] = [
      "mac-limit": .number(7), "rate-limit": .map(["egress": .map(["packets": .number(9)])]), "enabled": .flag(true),
    ]
    let after = try set(given)
    #expect(after.ports["b"] == port && after.ports["a"] == before.ports["a"])
    // Once more changes nothing.
    #expect(try after.applying(SetPort(name: "b", settings: given)) == after)
    #expect(try after.applying(SetPort(name: "b", settings: ["kind": .text("tap"), "device": .text("tb")])) == after)
  }

  @Test func unsetKeysRevertToTheProfile() throws {
    let port = try #require(try set(["mac-limit": .null, "storm-control": .map(["broadcast": .null]), "enabled": .null]).ports["b"])
    #expect(port.policy.macLimit == 4 && port.policy.storm.broadcast == 10 && port.isEnabled)
    let alone = try #require(try set(["profile": .null]).ports["b"])
    #expect(alone.policy.egress == PortPolicy.Rate() && alone.policy.ingress.bits == 5_000_000)
  }

  @Test func changesThatNeedARestartAreRefusedWithTheRemedy() throws {
    func refusal(_ settings: [String: SettingValue], _ name: String = "b") -> ControlError? {
      #expect(throws: ControlError.self) { try set(settings, name) }
    }
    for (key, value) in [("device", "tx"), ("kind", "netdev")] {
      let error = refusal([key: .text(value)])
      #expect(error?.message == "port b: \(key) cannot change while the port exists; delete the port and add it again")
      #expect(error?.code == .refused)
    }
    #expect(refusal(["mac-limit": .text("x")])?.message.contains("mac-limit must be a whole number") == true)
    #expect(refusal(["color": .text("x")])?.message == "port b: port: unknown key 'color'")
    #expect(refusal(["profile": .text("p")])?.message == "port b: there is no profile 'p'")
    #expect(refusal(["anti-spoofing": .flag(true)])?.message.hasPrefix("port b: anti-spoofing needs") == true)
    #expect(refusal(["vni": .number(3)])?.message == "port b: VNI 3 is not defined")
    #expect(refusal(["mtu": .number(1)], "nobody")?.code == .notFound)
  }
}
