// Valid configurations: every key takes effect, defaults apply, and written configurations load as the same.

import Encap
import MulticastLearn
import OVSDBClient
import Testing
import VTEP
import VTEPControl

@testable import vtepd

@Suite struct ConfigurationLoaderTests {
  private let loader = ConfigurationLoader(hostName: "host")

  private func load(_ text: String) throws -> Configuration {
    try loader.load(text: text, file: "f.yaml")
  }

  private func vni(_ number: Int) throws -> VNI { try #require(VNI(number)) }
  private func ip(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
  private func mac(_ text: String) throws -> MACAddress { try #require(MACAddress(text)) }

  @Test func eachProblemIsOneLine() {
    let text = "mode: \"a\\nb\"\n\"x\\e\\L\": 1\nunderlay: {addresses: [192.0.2.1], device: eth0}\n"
    let error = #expect(throws: ConfigurationError.self) { try load(text) }
    #expect(
      error?.lines == [
        #"f.yaml:1:7: mode must be hypervisor or gateway, not the text 'a\nb'"#, #"f.yaml:2:1: the file: unknown key 'x\u{1B}\u{2028}'"#,
      ])
    #expect(ControlError(.refused, "a\nb", details: ["c\rd"]).description == "a\\nb\nc\\rd")
  }

  @Test func everyKeyArrives() throws {
    let configuration = try load(fullConfigurationText)
    #expect(configuration.name == "123")
    #expect(configuration.mode == .gateway)
    #expect(configuration.runDirectory == "/tmp/run")
    #expect(configuration.stateDirectory == "/tmp/with blank: and colon")

    var dataplane = DataplaneSettings()
    dataplane.workers = 2
    dataplane.cores = [1, 3]
    dataplane.polling = .busy
    dataplane.hugepages = .required
    dataplane.memoryMiB = 512
    dataplane.macTableSize = 1_000_000
    #expect(configuration.dataplane == dataplane)

    var underlay = UnderlaySettings(addresses: [try ip("192.0.2.1"), try ip("2001:db8::1")], devices: ["eth0", "eth1"])
    underlay.udpPort = 8472
    underlay.ttl = .inherit
    underlay.multicastTTL = 5
    underlay.dscp = .fixed(46)
    underlay.priorities.dscpOfPCP = [0, 1, 16, 24, 32, 46, 48, 63]
    underlay.priorities.pcpOfDSCP = [46: 5, 0: 1]
    underlay.udpChecksum = .on
    underlay.acceptsZeroUDP6Checksum = true
    underlay.pmtu = .drop
    underlay.ipsecPolicy = .refuse
    var bfd = UnderlayBFD()
    bfd.vteps = [try ip("192.0.2.2"), try ip("2001:db8::2")]
    (bfd.settings.minTx, bfd.settings.minRx, bfd.settings.multiplier) = (100, 200, 5)
    (bfd.settings.form, bfd.settings.vni) = (.rfc8971, try vni(7))
    (bfd.settings.checksTunnelKey, bfd.settings.forwardingIfRx, bfd.settings.decayMinRx) = (true, true, 2000)
    underlay.bfd = bfd
    #expect(configuration.desired.underlay == underlay)

    var protection = ProtectionSettings()
    protection.macMove.moves = 3
    protection.macMove.windowSeconds = 10
    protection.macMove.holdSeconds = 20
    #expect(configuration.desired.protection == protection)

    var first = VNISettings(vni: try vni(5001), flood: .multicast(group: try ip("239.1.1.1")))
    first.learning = false
    first.innerVLAN = .carry
    first.neighborSuppression = .known
    first.ageingSeconds = 0
    first.macLimit = 100
    first.storm = StormLimits(broadcast: 10, unknownUnicast: 20, unknownMulticast: 30)
    let peers = [try ip("192.0.2.3"), try ip("192.0.2.2"), try ip("2001:db8::2")]
    var second = VNISettings(vni: try vni(5002), flood: .replicate(peers: peers))
    second.acceptFrom = .peers
    second.macs = [
      try mac("02:00:00:00:00:21"): try ip("192.0.2.2"), try mac("02:00:00:00:00:22"): try ip("2001:db8::2"),
    ]
    second.neighbors = [
      try ip("10.0.0.21"): try mac("02:00:00:00:00:21"), try ip("2001:db8:1::21"): try mac("02:00:00:00:00:21"),
      try ip("10.0.0.22"): try mac("02:00:00:00:00:22"), try ip("10.0.0.23"): try mac("02:00:00:00:00:23"),
    ]
    let third = VNISettings(vni: try vni(5003), flood: .none)
    let fourth = VNISettings(vni: try vni(5004), flood: .multicast(group: try ip("ff05::1:2")))
    #expect(configuration.desired.vnis == [first.vni: first, second.vni: second, third.vni: third, fourth.vni: fourth])

    var vm1 = PortSettings(name: "vm1", kind: .tap, device: "tap-vm1")
    vm1.vni = first.vni
    vm1.macs = [try mac("52:54:00:00:00:02"), try mac("52:54:00:00:00:01")]
    vm1.mtu = 1400
    vm1.acl = "web"
    var bm1 = PortSettings(name: "bm1", kind: .netdev, device: "eth2")
    bm1.vni = second.vni
    bm1.vlans = [100: first.vni, 4094: second.vni]
    bm1.vlanMACs = [100: [try #require(MACAddress("02:00:00:00:01:64"))]]
    bm1.vlanACLs = [100: "web", 4094: "nothing"]
    bm1.isIsolated = true
    bm1.tpid = .service
    var ssh = ACLEntry(sequence: 10, direction: .ingress, action: .deny)
    (ssh.protocolNumber, ssh.destinationPorts) = (6, 22...22)
    var arp = ACLEntry(sequence: 30, direction: .egress, action: .permit)
    arp.etherType = 0x0806
    var syn = ACLEntry(sequence: 20, direction: .ingress, action: .permit)
    syn.sourceMAC = ACLEntry.MaskedMAC(try mac("02:00:00:00:00:00"), mask: try mac("ff:00:00:00:00:00"))
    syn.source = ACLEntry.MaskedAddress(try ip("10.0.0.0"), mask: try ip("255.0.0.0"))
    syn.destination = ACLEntry.MaskedAddress(try ip("10.1.0.0"), mask: try ip("255.255.0.255"))
    (syn.protocolNumber, syn.sourcePorts, syn.tcpFlags) = (6, 1024...65535, ACLEntry.TCPFlags(0x02, mask: 0x12))
    #expect(
      configuration.desired.acls == [
        "web": ACLSettings(name: "web", entries: [ssh, arp, syn]), "nothing": ACLSettings(name: "nothing"),
      ])
    let expected = DesiredState(underlay: underlay, ports: ["vm1": vm1, "bm1": bm1], portDefaults: Configuration.Mode.gateway.portDefaults)
    #expect(configuration.desired.ports == expected.ports)

    let ovsdb = try #require(configuration.ovsdb)
    #expect(ovsdb.remotes.map(\.description) == ["ssl:db.example.net:6640", "ssl:[2001:db8::5]:6641"])
    let files = TLSSettings(
      privateKeyPath: "/etc/vtepd/key.pem", certificatePath: "/etc/vtepd/cert.pem", caCertificatePath: "/etc/vtepd/ca.pem",
      crlPath: "/etc/vtepd/crl.pem", peerNames: ["db.example.net", "2001:db8::5"])
    #expect(ovsdb.tls == files)
    #expect(ovsdb.inactivityProbeSeconds == 10 && ovsdb.staleHoldSeconds == 60)
    #expect(ovsdb.maxBackoffSeconds == 30 && ovsdb.dscp == 10)
  }

  @Test func ovsdbWithoutRemotesIsOurOwnServer() throws {
    for text in ["ovsdb: {}", "ovsdb:", "ovsdb: {remotes: []}"] {
      let configuration = try load("underlay: {addresses: [192.0.2.1], device: eth0}\n\(text)\n")
      #expect(configuration.ovsdb == OVSDBSettings() && configuration.ovsdb?.isEmbedded == true)
      #expect(try load(try configuration.yaml()) == configuration)
    }
  }

  @Test func uplinksOfDPDKHaveTaps() throws {
    let one = try load("underlay: {addresses: [192.0.2.1], dpdk: \"0000:03:00.0\", tap: vtep0}\n")
    #expect(one.desired.underlay.nics == ["0000:03:00.0"] && one.desired.underlay.devices == ["vtep0"])
    let two = try load(
      "underlay:\n  addresses: [192.0.2.1]\n  dpdk: [\"03:00.1,queues=2\", net_null0]\n  tap: [vtep0, vtep1]\n  offloads: trust\n")
    #expect(two.desired.underlay.nics == ["03:00.1,queues=2", "net_null0"] && two.desired.underlay.devices == ["vtep0", "vtep1"])
    #expect(one.desired.underlay.offloads == .auto && two.desired.underlay.offloads == .trust)
    for configuration in [one, two] {
      let text = try configuration.yaml()
      #expect(!text.contains("device:") && !text.contains("driver:"))
      #expect(try load(text) == configuration)
    }
  }

  @Test func ioCores() throws {
    let text = "underlay: {addresses: [192.0.2.1], dpdk: net_null0, tap: vtep0}\ndataplane: {workers: 2, cores: [1, 3], io-cores: [0, 2]}\n"
    var configuration = try load(text)
    #expect(configuration.dataplane.ioCores == [0, 2] && configuration.dataplane.cores == [1, 3])
    #expect(try load(try configuration.yaml()) == configuration)
    // Whatever is wrong with the underlay, that is not said twice.
    #expect(throws: ConfigurationError.self) { try load("dataplane: {io-cores: [0]}\n") }
    configuration = try load("underlay: {addresses: [192.0.2.1], device: eth0}\ndataplane: {io-cores: []}\n")
    #expect(configuration.dataplane.ioCores == [])
  }

  @Test func absentKeysHaveDefaults() throws {
    let configuration = try load("underlay: {addresses: [192.0.2.1], device: eth0}\n")
    let underlay = UnderlaySettings(addresses: [try ip("192.0.2.1")], devices: ["eth0"])
    #expect(configuration == Configuration(name: "host", desired: DesiredState(underlay: underlay)))
  }

  @Test func gatewayHasDefaultsOfItsOwn() throws {
    let text = """
      mode: gateway
      underlay: {addresses: [192.0.2.1], device: eth0}
      vnis: [{vni: 7, flood: none}]
      profiles: {quiet: {storm-control: {unknown-unicast: 5}}}
      ports:
        - {name: a, kind: netdev, device: da, vni: 7}
        - {name: b, kind: netdev, device: db, vni: 7, profile: quiet, loop-probe: false, storm-control: {broadcast: 0}}

      """
    var configuration = try load(text)
    let a = try #require(configuration.desired.ports["a"])
    #expect(a.policy.storm == StormLimits(broadcast: 10_000, unknownUnicast: 10_000, unknownMulticast: 10_000))
    let b = try #require(configuration.desired.ports["b"])
    #expect(b.policy.storm == StormLimits(broadcast: 0, unknownUnicast: 5, unknownMulticast: 10_000))
    #expect(!a.hasBPDUGuard && a.probesLoops && a.linkProtocols == .drop && !b.probesLoops)
    // The output contains the mode and what was typed, and means the same.
    #expect(try load(try configuration.yaml()) == configuration)
    #expect(try !configuration.yaml().contains("10000"))
    // Ports added later have them too; a hypervisor has none.
    configuration.desired = try configuration.desired.applying(
      AddPort(name: "c", settings: ["kind": .text("netdev"), "device": .text("dc"), "vni": .number(7)]))
    #expect(configuration.desired.ports["c"]?.policy.storm == a.policy.storm)
    let other = try load(text.replacing("mode: gateway", with: "mode: hypervisor"))
    #expect(other.desired.ports["a"]?.policy.storm == StormLimits() && other.desired.ports["a"]?.probesLoops == false)
    // A changed mode in the file needs a restart.
    let merged = try configuration.desired.merging(from: configuration.desired, to: other.desired)
    #expect(merged.ports["a"]?.policy.storm == a.policy.storm)
  }

  @Test func emptyListsAreNoProblem() throws {
    let configuration = try load("underlay: {addresses: [192.0.2.1], device: eth0}\nvnis:\nports:\ndataplane:\n")
    #expect(configuration.desired.vnis.isEmpty && configuration.desired.ports.isEmpty)
  }

  @Test func carriageReturnsAndAnchorsAreUnderstood() throws {
    let text =
      "underlay: {addresses: [192.0.2.1], device: eth0}\r\nvnis:\r\n- {vni: 1, flood: replicate, peers: &p [192.0.2.2]}\r\n- {vni: 2, flood: replicate, peers: *p}\r\n"
    #expect(try load(text).desired.vnis[try vni(2)]?.flood == .replicate(peers: [try ip("192.0.2.2")]))
  }

  @Test func writtenConfigurationLoadsAsTheSame() throws {
    var configuration = try load(fullConfigurationText)
    let text = try configuration.yaml()
    #expect(try load(text) == configuration)
    // Names that YAML would interpret, and values that differ from the defaults in the other direction.
    for name in ["null", "true", "1e3", "0x10", "~", "a: b", "- x", "ünïcode", "#no comment", " blank ", "'", "\"", "a\nb"] {
      configuration.name = name
      configuration.mode = .hypervisor
      configuration.desired.portDefaults = Configuration.Mode.hypervisor.portDefaults
      configuration.desired.resolveProfiles()
      configuration.desired.underlay.devices = ["123"]
      configuration.desired.underlay.ttl = .fixed(1)
      configuration.desired.underlay.dscp = .inherit
      configuration.dataplane.cores = []
      #expect(try load(try configuration.yaml()) == configuration, "name \(name)")
    }
    configuration.desired.vnis = [:]
    configuration.desired.ports = [:]
    #expect(try load(try configuration.yaml()) == configuration)
  }

  @Test func deepNestingIsRefusedAndHarmless() async throws {
    for text in [
      String(repeating: "[", count: 100_000), String(repeating: "- ", count: 100_000),
      String(repeating: "{a: ", count: 900) + String(repeating: "}", count: 900),
    ] {
      // On a task, whose stack is smaller than the main thread's.
      let isRefused = await Task.detached { (try? ConfigurationLoader(hostName: "h").load(text: text, file: "f")) == nil }.value
      #expect(isRefused)
    }
  }

  @Test func unreadableFilesAreErrors() throws {
    let missing = #expect(throws: ConfigurationError.self) { try loader.load(path: "/nonexistent/f.yaml") }
    #expect(missing?.lines == ["/nonexistent/f.yaml: there is no such file"])
    let directory = #expect(throws: ConfigurationError.self) { try loader.load(path: "/") }
    #expect(directory?.problems.count == 1)
  }

  @Test func errorsAreSortedLines() throws {
    let error = try #require(throws: ConfigurationError.self) { try load("x: 1\nunderlay: {device: eth0}\nmode: y\n") }
    #expect(
      error.lines == [
        "f.yaml:1:1: the file: unknown key 'x'",
        "f.yaml:2:11: underlay: key 'addresses' is missing",
        "f.yaml:3:7: mode must be hypervisor or gateway, not 'y'",
      ])
  }
}
