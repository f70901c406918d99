// Run-time changes as edits of the desired state: what they change, when they change nothing, and what they reject.

import Encap
import MulticastLearn
import Testing
import VTEP
import VTEPControl

@testable import vtepd

@Suite struct DesiredStateEditTests {
  private let state: DesiredState
  private let vni5001: VNI
  private let vni5002: VNI

  init() throws {
    state = try ConfigurationLoader(hostName: "h").load(text: fullConfigurationText, file: "f").desired
    vni5001 = try #require(VNI(5001))
    vni5002 = try #require(VNI(5002))
  }

  private func expectRefusal(
    _ edit: some DesiredStateEdit, _ code: ControlError.Code, _ message: String, _ location: SourceLocation = #_sourceLocation
  ) {
    do throws(ControlError) {
      _ = try state.applying(edit)
      Issue.record("not refused", sourceLocation: location)
    } catch {
      #expect(error.code == code, "\(error)", sourceLocation: location)
      #expect(error.description.contains(message), "\(error)", sourceLocation: location)
    }
  }

  @Test func accessControlListsChangeEntryByEntry() throws {
    let ssh: [String: SettingValue] = ["direction": .text("ingress"), "action": .text("deny"), "protocol": .text("tcp")]
    var new = try state.applying(AddACL(name: "new", entry: ssh))
    #expect(new.acls["new"]?.entries.map(\.sequence) == [10])
    #expect(try new.applying(AddACL(name: "new", entry: ssh.merging(["sequence": .number(10)]) { $1 })) == new, "repeating changes nothing")
    new = try new.applying(AddACL(name: "new", entry: ["direction": .text("egress"), "action": .text("permit"), "sequence": .number(5)]))
    #expect(new.acls["new"]?.entries.map(\.sequence) == [5, 10])
    #expect(try state.applying(AddACL(name: "web")) == state)
    expectRefusal(
      AddACL(name: "web", entry: ["direction": .text("ingress"), "action": .text("permit"), "sequence": .number(10)]), .refused,
      "ACL 'web' has another ingress entry 10: deny protocol tcp, destination-ports 22")
    expectRefusal(AddACL(name: "web", entry: ["direction": .text("in")]), .invalidParameters, "direction must be ingress or egress")
    expectRefusal(
      AddACL(name: "web", entry: ["direction": .text("ingress"), "action": .text("deny"), "icmp-type": .text("8")]), .refused,
      "need protocol icmp")
    #expect(try state.applying(DeleteACL(name: "web", sequence: 20)).acls["web"]?.entries.map(\.sequence) == [10, 30])
    #expect(try state.applying(DeleteACL(name: "web", direction: "ingress")).acls["web"]?.entries.map(\.sequence) == [30])
    expectRefusal(DeleteACL(name: "web", sequence: 30, direction: "ingress"), .notFound, "no ingress entry 30")
    expectRefusal(DeleteACL(name: "web"), .refused, "is bound to: bm1, vm1")
    expectRefusal(DeleteACL(name: "x"), .notFound, "no access control list 'x'")
    #expect(try new.applying(DeleteACL(name: "new")) == state)
    new.routers["tenant"]?.acls[VNI(truncating: 5001)] = "new"
    let error = #expect(throws: ControlError.self) { try new.applying(DeleteACL(name: "new")) }
    #expect(error?.code == .refused && error?.description.contains("bound to interfaces of: tenant") == true)
  }

  @Test func accessControlListsAreBoundToPortsAndVLANs() throws {
    let bound = try state.applying(BindACL(name: "nothing", port: "bm1"))
    #expect(bound.ports["bm1"]?.acl == "nothing")
    #expect(try bound.applying(BindACL(name: nil, port: "bm1")) == state)
    #expect(try state.applying(BindACL(name: nil, port: "bm1", vlan: 100)).ports["bm1"]?.vlanACLs == [4094: "nothing"])
    #expect(try state.applying(BindACL(name: "web", port: "vm1", vlan: 7)).ports["vm1"]?.vlanACLs == [7: "web"])
    expectRefusal(BindACL(name: "x", port: "bm1"), .notFound, "no access control list 'x'")
    expectRefusal(BindACL(name: "web", port: "x"), .notFound, "no port 'x'")
    expectRefusal(BindACL(name: nil, port: "bm1"), .notFound, "port bm1 has no access control list")
    expectRefusal(BindACL(name: nil, port: "bm1", vlan: 7), .notFound, "VLAN 7 of port bm1 has no")
    expectRefusal(BindACL(name: "web", port: "bm1", vlan: 4095), .invalidParameters, "from 1 to 4094")
  }

  @Test func newVNIHasTheFilesDefaults() throws {
    let vni = try #require(VNI(7))
    let group = try #require(IPAddress("239.9.9.9"))
    #expect(try state.applying(AddVNI(vni: 7, group: "239.9.9.9")).vnis[vni] == VNISettings(vni: vni, flood: .multicast(group: group)))
    #expect(try state.applying(AddVNI(vni: 7, flood: "replicate")).vnis[vni]?.flood == .replicate(peers: []))
    #expect(try state.applying(AddVNI(vni: 7, flood: "none")).vnis[vni]?.flood == FloodMode.none)
  }

  @Test func everyVNIParameterArrives() throws {
    let request = AddVNI(
      vni: 5001, flood: "replicate", peers: ["192.0.2.7"], learning: true, acceptFrom: "peers", innerVLAN: "discard",
      ageingSeconds: 9, macLimit: 8, stormBroadcast: 1, stormUnknownUnicast: 2, stormUnknownMulticast: 3,
      neighborSuppression: "off")
    var settings = VNISettings(vni: vni5001, flood: .replicate(peers: [try #require(IPAddress("192.0.2.7"))]))
    settings.acceptFrom = .peers
    settings.ageingSeconds = 9
    settings.macLimit = 8
    settings.storm = StormLimits(broadcast: 1, unknownUnicast: 2, unknownMulticast: 3)
    #expect(try state.applying(SetVNI(request)).vnis[vni5001] == settings)
    expectRefusal(request, .refused, "VNI 5001 exists: use vni set to change its flood")
    expectRefusal(SetVNI(AddVNI(vni: 9, macLimit: 1)), .notFound, "no VNI 9")
  }

  @Test func existingVNIKeepsUnsetKeys() throws {
    #expect(try state.applying(AddVNI(vni: 5001)) == state)
    #expect(try state.applying(AddVNI(vni: 5001, flood: "multicast")) == state)
    #expect(try state.applying(AddVNI(vni: 5002, flood: "replicate")) == state)
    var settings = try #require(state.vnis[vni5002])
    settings.ageingSeconds = 5
    #expect(try state.applying(SetVNI(AddVNI(vni: 5002, ageingSeconds: 5))).vnis[vni5002] == settings)
    settings.storm.unknownUnicast = 7
    #expect(try state.applying(SetVNI(AddVNI(vni: 5002, ageingSeconds: 5, stormUnknownUnicast: 7))).vnis[vni5002] == settings)
  }

  @Test func wrongVNIsAreRefused() {
    expectRefusal(AddVNI(vni: 1 << 24), .invalidParameters, "vni 16777216")
    expectRefusal(AddVNI(vni: 7), .refused, "flood multicast needs a group")
    expectRefusal(AddVNI(vni: 7, flood: "all"), .invalidParameters, "flood must be multicast, replicate or none, not 'all'")
    expectRefusal(AddVNI(vni: 7, group: "x"), .invalidParameters, "group 'x'")
    expectRefusal(AddVNI(vni: 7, group: "192.0.2.9"), .refused, "vni 7: group 192.0.2.9 is not a multicast address")
    expectRefusal(AddVNI(vni: 7, flood: "none", group: "239.1.1.1"), .refused, "a group needs flood multicast")
    expectRefusal(AddVNI(vni: 7, flood: "replicate", peers: ["192.0.2.1"]), .refused, "own address")
    expectRefusal(AddVNI(vni: 7, flood: "none", ageingSeconds: 2_000_000), .refused, "ageing-seconds")
    expectRefusal(AddVNI(vni: 7, flood: "none", innerVLAN: "x"), .invalidParameters, "inner-vlan must be discard or carry")
    expectRefusal(SetVNI(AddVNI(vni: 5001, acceptFrom: "peers")), .refused, "accepts no VTEP")
  }

  @Test func vniIsDeletedOnlyWhenUnused() throws {
    #expect(try state.applying(DeleteVNI(vni: 5003)).vnis.count == 3)
    expectRefusal(DeleteVNI(vni: 5001), .refused, "VNI 5001 is bound to: bm1, vm1")
    expectRefusal(DeleteVNI(vni: 9), .notFound, "no VNI 9")
  }

  @Test func peersComeAndGo() throws {
    let added = try state.applying(AddPeer(vni: 5002, address: "192.0.2.9"))
    guard case .replicate(let peers)? = added.vnis[vni5002]?.flood else { throw ControlError(.internalError, "no peers") }
    #expect(peers.map(\.description) == ["192.0.2.3", "192.0.2.2", "2001:db8::2", "192.0.2.9"])
    #expect(try added.applying(AddPeer(vni: 5002, address: "192.0.2.9")) == added)
    #expect(try added.applying(DeletePeer(vni: 5002, address: "192.0.2.9")) == state)
    expectRefusal(AddPeer(vni: 5002, address: "192.0.2.1"), .refused, "own address")
    expectRefusal(AddPeer(vni: 5001, address: "192.0.2.9"), .refused, "not replicate")
    expectRefusal(AddPeer(vni: 9, address: "192.0.2.9"), .notFound, "no VNI 9")
    expectRefusal(DeletePeer(vni: 5002, address: "192.0.2.9"), .notFound, "no peer 192.0.2.9")
  }

  @Test func portsComeAndGo() throws {
    let request = AddPort(name: "x", kind: "tap", device: "tx", vni: 5001, vlans: [7: 5002], macs: ["02:00:00:00:00:07"], mtu: 1300)
    var port = PortSettings(name: "x", kind: .tap, device: "tx")
    port.vni = vni5001
    port.vlans = [7: vni5002]
    port.macs = [try #require(MACAddress("02:00:00:00:00:07"))]
    port.mtu = 1300
    let added = try state.applying(request)
    #expect(added.ports["x"]?.own == port)
    #expect(try added.applying(request) == added)
    #expect(try added.applying(AddPort(name: "x", kind: "tap", device: "tx")) == added)
    let exists = "port vm1 exists: use port set to change its"
    expectRefusal(AddPort(name: "vm1", kind: "tap", device: "tap-vm1", vni: 5002), .refused, "\(exists) vni")
    expectRefusal(AddPort(name: "vm1", kind: "tap", device: "tap-vm1", vlans: [9: 5002]), .refused, "\(exists) vlans")
    #expect(try added.applying(DeletePort(name: "x")) == state)
    expectRefusal(AddPort(name: "vm1", kind: "netdev", device: "tap-vm1"), .refused, "port vm1 exists already, as tap tap-vm1")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "tx", vni: 9), .refused, "port x: VNI 9 is not defined")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "tap-vm1"), .refused, "already belongs to port vm1")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "eth0"), .refused, "belongs to the underlay")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "tx", vlans: [0: 5001]), .invalidParameters, "from 1 to 4094, not '0'")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "tx", vlans: [70000: 5001]), .invalidParameters, "not '70000'")
    expectRefusal(AddPort(name: "x", kind: "bridge", device: "tx"), .invalidParameters, "kind must be tap, netdev")
    expectRefusal(AddPort(name: "x", kind: "tap"), .invalidParameters, "key 'device' is missing")
    expectRefusal(AddPort(name: "x", kind: "tap", device: "tx", role: "client"), .invalidParameters, "kind tap has no 'role'")
    expectRefusal(
      AddPort(name: "x", kind: "vhost-user", socket: "s", queues: 0), .invalidParameters, "queues must be a whole number from 1 to 64")
    expectRefusal(AddPort(name: "x y", kind: "tap", device: "tx"), .refused, "name 'x y'")
    expectRefusal(DeletePort(name: "x"), .notFound, "no port 'x'")
  }

  @Test func portsOfDPDKAreLimited() throws {
    var full = state
    // Uplinks, and ports that are none of DPDK's devices, do not count.
    full.underlay.devices = (0..<32).map { "u\($0)" }
    for number in 0..<31 { full = try full.applying(AddPort(name: "p\(number)", kind: "memif", socket: "p\(number)")) }
    for number in 0..<100 { full = try full.applying(AddPort(name: "t\(number)", kind: "tap", device: "t\(number)")) }
    for kind in ["memif", "virtio-user"] {
      let error = #expect(throws: ControlError.self) { try full.applying(AddPort(name: "q", kind: kind, socket: "q")) }
      #expect(error?.message.contains("at most 31 ports of the kinds memif, virtio-user, dpdk together, not 32") == true)
    }
    full.underlay.devices.append("u32")
    #expect(full.problems().map(\.description) == ["underlay: at most 32 underlay devices, not 33"])
  }

  @Test func staticAddressesAreAddedAndRemoved() throws {
    let mac = try #require(MACAddress("02:00:00:00:00:55"))
    let remote = try state.applying(AddMAC(vni: 5001, mac: "02-00-00-00-00-55", vtep: "192.0.2.7"))
    #expect(remote.vnis[vni5001]?.macs == [mac: try #require(IPAddress("192.0.2.7"))])
    #expect(throws: ControlError.self) { try remote.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "vm1")) }
    #expect(throws: ControlError.self) { try remote.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", vtep: "192.0.2.8")) }
    let local = try state.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "vm1"))
    #expect(local.ports["vm1"]?.macs.last == mac)
    #expect(try local.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "vm1")) == local)
    #expect(throws: ControlError.self) { try local.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", vtep: "192.0.2.7")) }
    var removed = local
    let wasThere = removed.removeStaticMAC(mac, vni: vni5001)
    #expect(wasThere && removed == state)
    let isThereStill = removed.removeStaticMAC(mac, vni: vni5001)
    #expect(!isThereStill)
    expectRefusal(AddMAC(vni: 5001, mac: "x", vtep: "192.0.2.7"), .invalidParameters, "mac 'x'")
    expectRefusal(AddMAC(vni: 5001, mac: "01:00:00:00:00:55", vtep: "192.0.2.7"), .refused, "multicast address")
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", vtep: "192.0.2.1"), .refused, "own address")
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55"), .invalidParameters, "either vtep or port")
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "nowhere"), .notFound, "no port 'nowhere'")
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "bm1"), .refused, "does not bind")
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "vm1", vlan: 5), .refused, "does not bind VLAN 5")
    expectRefusal(AddMAC(vni: 9, mac: "02:00:00:00:00:55", vtep: "192.0.2.7"), .notFound, "no VNI 9")
  }

  @Test func ipAddressesOfStaticAddresses() throws {
    let mac = try #require(MACAddress("02:00:00:00:00:55"))
    let (first, second) = (try #require(IPAddress("10.0.0.5")), try #require(IPAddress("fd00::5")))
    let station = "02:00:00:00:00:55"
    var known = try state.applying(AddMAC(vni: 5001, mac: station, vtep: "192.0.2.7", ip: ["10.0.0.5"]))
    let before = state.vnis[vni5001]?.neighbors ?? [:]
    #expect(known.vnis[vni5001]?.neighbors == before.merging([first: mac]) { $1 })
    // More of them; and of a port's station.
    known = try known.applying(AddMAC(vni: 5001, mac: station, vtep: "192.0.2.7", ip: ["fd00::5", "10.0.0.5"]))
    #expect(known.vnis[vni5001]?.neighbors == before.merging([first: mac, second: mac]) { $1 })
    var local = try state.applying(AddMAC(vni: 5001, mac: station, port: "vm1", ip: ["fd00::5"]))
    #expect(local.vnis[vni5001]?.neighbors == before.merging([second: mac]) { $1 } && local.ports["vm1"]?.macs.last == mac)
    let wasThere = known.removeStaticMAC(mac, vni: vni5001) && local.removeStaticMAC(mac, vni: vni5001)
    #expect(wasThere && known == state && local == state)
    let error = #expect(throws: ControlError.self) {
      try state.applying(AddMAC(vni: 5001, mac: station, vtep: "192.0.2.7", ip: ["10.0.0.5"]))
        .applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:56", vtep: "192.0.2.7", ip: ["10.0.0.5"]))
    }
    #expect(error?.code == .refused && error?.description.contains("mac delete --vni 5001 --mac \(station)") == true)
    expectRefusal(AddMAC(vni: 5001, mac: station, vtep: "192.0.2.7", ip: ["10.0.0"]), .invalidParameters, "ip '10.0.0'")
    expectRefusal(AddMAC(vni: 5001, mac: station, vtep: "192.0.2.7", ip: ["224.0.0.1"]), .refused, "ip 224.0.0.1")
  }

  @Test func staticAddressesOfTaggedBindings() throws {
    let mac = try #require(MACAddress("02:00:00:00:00:55"))
    let tagged = try state.applying(AddPort(name: "trunk", kind: "tap", device: "t9", vlans: [7: 5001]))
    let added = try tagged.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "trunk", vlan: 7))
    #expect(added.ports["trunk"]?.vlanMACs == [7: [mac]])
    #expect(try added.applying(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "trunk", vlan: 7)) == added)
    var removed = added
    let wasThere = removed.removeStaticMAC(mac, vni: vni5001)
    #expect(wasThere && removed == tagged)
    expectRefusal(AddMAC(vni: 5001, mac: "02:00:00:00:00:55", port: "vm1", vlan: 7), .refused, "does not bind VLAN 7")
  }
}
