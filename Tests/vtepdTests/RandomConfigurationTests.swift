// Random configurations: what is written is read back as the same.

import Encap
import MulticastLearn
import Testing
import VTEP

@testable import vtepd

@Suite struct RandomConfigurationTests {
  /// Settings of every kind, with names that look like something else: written, read again, and written again.
  @Test(arguments: 0..<100) func isReadAsItWasWritten(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let configuration = random.configuration()
    let text = try configuration.yaml()
    let again = try ConfigurationLoader(hostName: "other").load(text: text, file: "f.yaml")
    #expect(again == configuration, "\(text)")
    #expect(try again.yaml() == text)
  }
}

extension SeededGenerator {
  fileprivate mutating func oneOf<Value>(_ values: [Value]) -> Value { values[Int.random(in: values.indices, using: &self)] }
  fileprivate mutating func maybe<Value>(_ value: (inout Self) -> Value) -> Value? { Bool.random(using: &self) ? value(&self) : nil }
  fileprivate mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  fileprivate mutating func name() -> String {
    oneOf(["yes", "1e3", "0x10", "~", "null", "2026-11-28", "a: b", "ünï", "-", "#", "'\"", "x\ny", "\u{1}", "12:30", "plain", " "])
      + (maybe { "\($0.number(0...9))" } ?? "")
  }

  fileprivate mutating func options() -> PortOptions {
    var options = PortOptions()
    options.mtu = maybe { $0.number(68...65_521) }
    options.isEnabled.own = maybe { _ in false }
    options.offloads.own = maybe { $0.oneOf(PortOffloads.allCases) }
    options.antiSpoofing.own = maybe { _ in false }
    options.isIsolated.own = maybe { $0.oneOf([true, false]) }
    options.tpid.own = maybe { $0.oneOf(PortTPID.allCases) }
    options.linkProtocols.own = maybe { $0.oneOf([.drop, .tunnel]) }
    options.macLimit.own = maybe { UInt32($0.number(0...1000)) }
    options.ingressBits.own = maybe { UInt64($0.number(0...1_000_000)) }
    options.egressPackets.own = maybe { UInt64($0.number(0...1_000_000)) }
    options.stormBroadcast.own = maybe { UInt64($0.number(0...1000)) }
    return options
  }

  /// Without problems.
  mutating func configuration() -> Configuration {
    var state = DesiredState(
      underlay: UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: [oneOf(["eth0", "0x10", "yes", "1e3"])]))
    if number(0...2) == 0 { state.underlay.nics = [oneOf(["0000:03:00.0", "net_memif0,role=server,socket=/run/a:#b"])] }
    state.underlay.ttl = oneOf([.inherit, .fixed(7)])
    state.underlay.udpChecksum = oneOf(UnderlaySettings.UDPChecksum.allCases)
    for _ in 0..<number(0...40) {
      let vni = VNI(truncating: UInt32(number(1...9_999)))
      let peers = Set((0..<number(0...5)).map { _ in IPAddress(ipv4: 0xc633_6400 + UInt32(number(1...254))) }).sorted()
      var settings = VNISettings(
        vni: vni, flood: oneOf([.none, .multicast(group: IPAddress(ipv4: 0xef01_0101)), .replicate(peers: peers)]))
      settings.learning = oneOf([true, false])
      settings.ageingSeconds = UInt32(number(0...1000))
      settings.innerVLAN = oneOf(VNISettings.InnerVLAN.allCases)
      settings.macMoveAction = maybe { $0.oneOf(ProtectionSettings.MACMove.Action.allCases) }
      for _ in 0..<number(0...3) {
        settings.macs[MACAddress(bits: 0x0200_0000_0000 + UInt64(number(1...99)))] = IPAddress(ipv4: 0xc633_6400 + UInt32(number(1...254)))
      }
      state.vnis[vni] = settings
    }
    for _ in 0..<number(0...4) {
      var acl = ACLSettings(name: name().filter { !$0.isWhitespace } + "x")
      for sequence in 0..<number(0...5) {
        var entry = ACLEntry(
          sequence: Int64(sequence), direction: oneOf(ACLEntry.Direction.allCases), action: oneOf(ACLEntry.Action.allCases))
        entry.protocolNumber = maybe { $0.oneOf([6, 17, 99]) }
        entry.destinationMAC = maybe { ACLEntry.MaskedMAC(.broadcast, mask: MACAddress(bits: UInt64($0.number(0...0xffff)))) }
        if number(0...1) == 0 { entry.source = oneOf([ACLEntry.MaskedAddress("::1"), ACLEntry.MaskedAddress("10.0.0.1/255.0.0.255")]) }
        if entry.protocolNumber == 6 {
          entry.tcpFlags = maybe { ACLEntry.TCPFlags(UInt16($0.number(0...0xfff)), mask: UInt16($0.number(0...0xfff))) }
        }
        acl.entries.append(entry)
      }
      state.acls[acl.name] = acl
    }
    for _ in 0..<number(0...20) { state.profiles[name()] = options() }
    for index in 0..<number(0...8) {
      var attachment = PortAttachment(.tap)
      attachment.device = "tap\(index)"
      var port = PortSettings(
        name: oneOf(["yes", "1e3", "0x10", "2026-11-28", "-", "...", "p"]) + (index == 0 ? "" : ".\(index)"), attachment: attachment)
      port.options = options()
      port.profile = state.profiles.keys.sorted().first
      port.options.acl = state.acls.keys.sorted().first
      if let vni = state.vnis.keys.sorted().first {
        port.options.vlans.own = maybe { [UInt16($0.number(1...4094)): vni] }
      }
      state.ports[port.name] = port
    }
    var configuration = Configuration(name: name(), desired: state)
    configuration.dataplane.workers = number(1...4)
    configuration.dataplane.cores = oneOf([[], Array(0..<configuration.dataplane.workers)])
    configuration.dataplane.hugepages = oneOf(DataplaneSettings.Hugepages.allCases)
    configuration.desired.portDefaults = configuration.mode.portDefaults
    configuration.desired.resolveProfiles()
    return configuration
  }
}
