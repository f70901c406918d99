// Addresses in the database are unchecked text: what has one meaning is taken for it, the rest is reported, row by row.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Texts in the database")
struct DatabaseTextTests {
  private let vni = VNI(truncating: 5000)

  /// A database with our switch.
  private func ownDatabase() throws -> FakeDatabase {
    var database = try FakeDatabase()
    database.transact([
      HardwareVTEP.PhysicalSwitch(name: "hv1").insertion(into: .physicalSwitch, name: "s"),
      .insert(table: "Global", row: ["switches": OVSDBDatum(.named("s"))]),
    ])
    return database
  }

  private func load(_ database: FakeDatabase) -> (mapping: ControllerMapping, edit: ControllerEdit) {
    var mapping = ControllerMapping(switchName: "hv1")
    let edit = mapping.load(database.replica)
    return (mapping, edit)
  }

  @Test(arguments: [
    "02:00:00:0a:0b:0c", "02:00:00:0A:0B:0C", "02-00-00-0a-0B-0c", "2:0:0:a:b:c", "0200.000a.0b0c", "0200000A0B0C", " 02:00:00:0a:0b:0c\n",
  ])
  func addressesThatMeanOneThing(_ text: String) {
    #expect(MACAddress(database: text) == MACAddress(bits: 0x0200_000a_0b0c))
  }

  @Test(arguments: [
    "", " ", ":", "02:00:00:0a:0b", "02:00:00:0a:0b:0c:0d", "02:00:00-0a:0b:0c", "02:00:00:0a:0b:0g", "002:00:00:0a:0b:0c", "0200.000a0b0c",
    "02000000a0b0c", "+20000000a0b", "unknown-dst", "02:00:00:0a:0b:", "０2:00:00:0a:0b:0c", "0200.000a.0b0", "٠2000000a0b0c",
  ])
  func addressesThatMeanNothing(_ text: String) {
    #expect(MACAddress(database: text) == nil)
  }

  @Test func spellingsOfIPAddresses() {
    let address = IPAddress("2001:db8::a")
    for text in [
      "2001:db8::a", "2001:DB8::A", "2001:0db8:0000:0000:0000:0000:0000:000a", " 2001:db8:0::0:a ", "2001:db8::a/64", "2001:db8::0.0.0.10",
      " 2001:db8::A / 64 ",
    ] {
      #expect(IPAddress(database: text) == address)
    }
    for text in ["10.0.0.5/24", "10.0.0.5/32", "10.0.0.5/0", "10.0.0.5/255.255.255.0", "10.0.0.5/255.255.255.255"] {
      #expect(IPAddress(database: text) == IPAddress(ipv4: 0x0a00_0005))
    }
    #expect(IPAddress(database: "2001:db8::a/128") == address)
    #expect(IPAddress(database: "::ffff:10.0.0.5") == IPAddress(ipv4: 0x0a00_0005))
    for text in [
      "", "10.0.0", "10.0.0.05", "10.0.0.5/33", "10.0.0.0/24", "2001:db8::/64", "::/0", "10.0.0.5/x", "10.0.0.5/24/1", "2001:db8::a%eth0",
      "host", "1:2:3", "10.0.0.5,10.0.0.6", "10.0.0.5/255.0.255.0", "10.0.0.0/255.255.255.0", "2001:db8::a/255.255.0.0", "10.0.0.5/",
    ] {
      #expect(IPAddress(database: text) == nil)
    }
  }

  @Test("one address in two spellings is one address; nonsense is reported and stops nothing")
  func rows() throws {
    var database = try FakeDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    let first = database.add("02:00:00:0A:00:01", ls, via: "192.0.2.2").inserted.last
    let second = database.add("02-00-00-0a-00-01", ls, via: "192.0.2.2").inserted.last
    database.add("2:0:0:A:0:2", ls, via: "192.0.2.2")
    database.add("nonsense", ls, via: "192.0.2.2")
    database.add("01:00:5e:00:00:01", ls, via: "192.0.2.2")
    database.addGroup("UNKNOWN-DST", ls, via: ["192.0.2.2"])
    database.addGroup("nobody", ls, via: ["192.0.2.2"])
    database.set(.ucastMacsRemote, try #require(first), ["ipaddr": OVSDBDatum("2001:DB8:0::1")])
    database.set(.ucastMacsRemote, try #require(second), ["ipaddr": OVSDBDatum("10.0.0.1")])
    var (mapping, edit) = load(database)
    let here = TunnelDestination(IPAddress(ipv4: 0xc000_0202))
    #expect(edit.layer?.switches[vni]?.flood == [here])
    let both = ControllerEdit.Address(
      vni: vni, mac: MACAddress(bits: 0x0200_000a_0001), destination: here,
      addresses: [IPAddress(ipv4: 0x0a00_0001), IPAddress(high: 0x2001_0db8_0000_0000, low: 1)].sorted())
    #expect(Set(edit.addresses) == [both, .init(vni: vni, mac: MACAddress(bits: 0x0200_000a_0002), destination: here)])
    #expect(mapping.faults.messages.count == 2)
    #expect(mapping.faults.messages.contains { $0.contains("2 unusable rows of Ucast_Macs_Remote") })
    #expect(mapping.faults.messages.contains { $0.contains("'nobody' is not a multicast address") })

    // An address that cannot be used costs only itself, and is no fault of the switch.
    let faults = mapping.faults
    edit = mapping.update(
      database.set(.ucastMacsRemote, try #require(second), ["ipaddr": OVSDBDatum("10.0.0.999")]), database.replica)
    #expect(edit.addresses.first?.addresses == [IPAddress(high: 0x2001_0db8_0000_0000, low: 1)])
    #expect(mapping.faults.ofSwitch == faults.ofSwitch)
    #expect(mapping.faults.messages.contains { $0.contains("'10.0.0.999' is not an IP address") })
    edit = mapping.update(database.set(.ucastMacsRemote, try #require(second), ["ipaddr": OVSDBDatum("")]), database.replica)
    #expect(mapping.faults.messages == faults.messages)
    edit = mapping.update(database.delete(.ucastMacsRemote, try #require(first)), database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: MACAddress(bits: 0x0200_000a_0001), destination: here)])
  }

  @Test func spellingsOfPrefixes() {
    for text in ["10.0.0.5/24", "10.0.0.0/24", " 10.0.0.5 / 24", "10.0.0.5/255.255.255.0"] {
      #expect(IPPrefix(database: text)?.description == "10.0.0.0/24")
    }
    for text in ["2001:db8::1/64", "2001:DB8:0::/64"] { #expect(IPPrefix(database: text)?.description == "2001:db8::/64") }
    #expect(IPPrefix(database: "10.0.0.5")?.description == "10.0.0.5/32" && IPPrefix(database: "2001:DB8::A")?.length == 128)
    #expect(IPPrefix(database: "0.0.0.0/0.0.0.0")?.description == "0.0.0.0/0" && IPPrefix(database: "::/0")?.length == 0)
    for text in ["", "/", "10.0.0.5/33", "10.0.0.5/-1", "10.0.0.5/024", "10.0.0/24", "default", "10.0.0.5/24/1", "10.0.0.5/255.0.255.0"] {
      #expect(IPPrefix(database: text) == nil, "\(text)")
    }
    #expect(RouterAddress(database: " 10.0.0.5/255.255.255.0")?.description == "10.0.0.5/24")
    #expect(RouterAddress(database: "10.0.0.5") == nil)
    #expect(Bool(database: " True\n") == true && Bool(database: "FALSE") == false && Bool(database: "yes") == nil)
  }

  @Test("rows for one address through one VTEP in two spellings say the same")
  func spelledLocators() throws {
    var database = try FakeDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    database.add("02:00:00:00:00:01", ls, via: "2001:db8::2")
    database.add("02:00:00:00:00:01", ls, via: "2001:DB8:0::2", key: 5000)
    var (mapping, edit) = load(database)
    #expect(edit.addresses.map(\.destination) == [TunnelDestination(IPAddress(high: 0x2001_0db8_0000_0000, low: 2))])
    #expect(mapping.faults == DatabaseFaults())
    _ = mapping.update(database.add("02:00:00:00:00:01", ls, via: "2001:db8::2", key: 7).changes, database.replica)
    #expect(mapping.faults.messages.count == 1)
  }

  /// What becomes of a router's row.
  private func router(
    _ database: inout FakeDatabase, _ bindings: [String: RowID], routes: [String: String] = [:], acls: [String: RowID] = [:]
  ) throws -> (settings: RouterSettings, messages: [String]) {
    let row = HardwareVTEP.LogicalRouter(name: "r0", switchBinding: bindings, staticRoutes: routes, aclBinding: acls)
    let made = database.transact([row.insertion(into: .logicalRouter)]).inserted[0]
    let mapping = load(database).mapping
    database.delete(.logicalRouter, made)
    return (try #require(mapping.layer.routers["r0"]), mapping.faults.messages.sorted())
  }

  @Test("routers: keys and values that mean the same are one; two meanings of one prefix are told, and the first counts")
  func routers() throws {
    var database = try ownDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    let acl = database.force(.acl, ["acl_name": OVSDBDatum("web")])
    let plain = try router(
      &database, ["10.0.0.1/24": ls, "2001:db8::1/64": ls], routes: ["0.0.0.0/0": "10.0.0.9", "198.51.100.7/32": "2001:db8::9"],
      acls: ["10.0.0.1": acl])
    #expect(plain.settings.routes.count == 2 && plain.settings.acls == [vni: "web"] && plain.messages.isEmpty)
    let spelled = try router(
      &database, [" 10.0.0.1/255.255.255.0": ls, "10.0.0.1/24": ls, "2001:DB8:0::1/64\n": ls],
      routes: ["0.0.0.0/0.0.0.0": " 10.0.0.9", "10.1.2.3/0": "::ffff:10.0.0.9", "198.51.100.7": "2001:DB8::9"],
      acls: ["10.0.0.1/255.255.255.0": acl, " 2001:db8:0:0::1": acl])
    #expect(spelled.messages.isEmpty, "\(spelled.messages)")
    // Also the order, which the name of a key decides, does not matter.
    #expect(spelled.settings.interfaces.mapValues(Set.init) == plain.settings.interfaces.mapValues(Set.init))
    #expect(spelled.settings.routes == plain.settings.routes && spelled.settings.acls == plain.settings.acls)
    let odd = try router(
      &database, ["10.0.0.1/24": ls, "10.0.0.1": ls, "soon": ls],
      routes: ["198.51.100.0/24": "10.0.0.8", "198.51.100.0/255.255.255.0": "10.0.0.9", "default": "10.0.0.9"], acls: ["here": acl])
    #expect(odd.settings.interfaces[vni]?.map(\.description) == ["10.0.0.1/24"])
    #expect(odd.settings.routes.map { "\($0.key) \($0.value)" } == ["198.51.100.0/24 10.0.0.8"] && odd.settings.acls.isEmpty)
    #expect(odd.messages.count == 5, "\(odd.messages)")
  }

  @Test("ARP sources: nonsense and contradictions are faults of the routers here, never of the switch")
  func arpSources() throws {
    var database = try ownDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    for text in ["192.0.2.2", "192.0.2.3", "2001:DB8::2", "2001:db8::2", "nowhere"] { database.add("02:00:00:00:00:01", ls, via: text) }
    func add(_ mac: String, _ ip: String) throws -> RowID {
      let locator = try #require(database.locator(ip))
      let row = HardwareVTEP.ArpSource(mac: mac, locator: locator)
      return database.transact([row.insertion(into: .arpSourcesRemote)]).inserted[0]
    }
    let mac = MACAddress(bits: 0x0e77_c000_0202)
    _ = try add("0E-77-C0-00-02-02", "2001:DB8::2")
    let row = HardwareVTEP.LogicalRouter(name: "r0", switchBinding: ["10.0.0.1/24": ls])
    let router = database.transact([row.insertion(into: .logicalRouter)]).inserted[0]
    _ = try add(" e:77:c0:0:2:2", "2001:db8::2")
    var mapping = load(database).mapping
    #expect(mapping.layer.arpSources == [mac: IPAddress(high: 0x2001_0db8_0000_0000, low: 2)])
    #expect(mapping.faults.ofRouters == ["r0": []])
    for (text, ip) in [
      ("0e:77:c0:00:02:02", "192.0.2.3"), ("ff:ff:ff:ff:ff:ff", "192.0.2.2"), ("me", "192.0.2.2"), ("02:00:00:00:00:09", "nowhere"),
    ] {
      let odd = try add(text, ip)
      mapping = load(database).mapping
      #expect(mapping.layer.arpSources == [mac: IPAddress(high: 0x2001_0db8_0000_0000, low: 2)], "the lowest UUID counts")
      #expect(mapping.faults.ofRouters == ["r0": ["unspecified_fault"]] && mapping.faults.ofSwitch.isEmpty, "\(text)")
      #expect(mapping.faults.messages.contains { $0.hasPrefix("Arp_Sources_Remote: ") })
      database.delete(.arpSourcesRemote, odd)
    }
    mapping = load(database).mapping
    #expect(mapping.faults.ofRouters == ["r0": []])
    // Without a router of this switch nobody is concerned.
    _ = try add("me", "192.0.2.2")
    database.delete(.logicalRouter, router)
    #expect(load(database).mapping.faults.ofRouters.isEmpty && load(database).mapping.faults.ofSwitch.isEmpty)
  }

  @Test("access lists: addresses and masks in any spelling")
  func lists() throws {
    var database = try ownDatabase()
    func entry(_ edit: (inout HardwareVTEP.ACLEntry) -> Void) throws -> (text: String?, isFault: Bool) {
      var row = HardwareVTEP.ACLEntry(sequence: 1, direction: "ingress", action: "deny")
      edit(&row)
      let made = database.transact([
        row.insertion(into: .aclEntry, name: "e"),
        .insert(table: "ACL", row: ["acl_name": OVSDBDatum("web"), "acl_entries": OVSDBDatum(.named("e"))], name: nil),
      ])
      let mapping = load(database).mapping
      for (id, table) in zip(made.inserted, [HardwareVTEP.Table.aclEntry, .acl]) { database.delete(table, id) }
      return (mapping.layer.acls["web"]?.entries.first?.matchText, mapping.faults.aclEntries[made.inserted[0]] == ["invalid_acl_entry"])
    }
    for text in ["02:00:00:00:0A:01", "02-00-00-00-0a-01", "0200.0000.0A01", " 2:0:0:0:a:1 "] {
      #expect(try entry { $0.sourceMAC = text } == ("source-mac 02:00:00:00:0a:01", false))
    }
    #expect(
      try entry { $0.destinationMAC = "02-00-00-00-00-00 / FF:0:0:0:0:0" } == ("destination-mac 02:00:00:00:00:00/ff:00:00:00:00:00", false)
    )
    for (text, mask) in [
      ("10.0.0.9", "255.255.255.0"), (" 10.0.0.0 ", " 24"), ("10.0.0.7/24", nil), ("::ffff:10.0.0.1", "255.255.255.0\n"),
    ] {
      #expect(try entry { ($0.sourceIP, $0.sourceMask) = (text, mask) } == ("source-ip 10.0.0.0/24", false))
    }
    #expect(
      try entry { ($0.destinationIP, $0.destinationMask) = ("2001:DB8:0::1", "FFFF:FFFF::") } == ("destination-ip 2001:db8::/32", false))
    #expect(try entry { $0.etherType = " 0X86DD" } == ("ethertype 0x86dd", false))
    for text in ["", "any", "10.0.0.09", "10.0.0.0/24/24"] { #expect(try entry { $0.sourceIP = text } == (nil, true), "\(text)") }
    #expect(try entry { ($0.sourceIP, $0.sourceMask) = ("10.0.0.0/24", "24") } == (nil, true))
  }

  @Test func suppressionCanBeTurnedOffPerLogicalSwitch() throws {
    var database = try FakeDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    var (mapping, edit) = load(database)
    #expect(edit.layer?.switches[vni]?.neighborSuppression == .known)
    for (text, isTold) in [("off", false), ("maybe", true), (" OFF", false)] {
      let pair = OVSDBDatum(["neighbor-suppression": text])
      edit = mapping.update(database.set(.logicalSwitch, ls, ["other_config": pair]), database.replica)
      #expect(edit.layer?.switches[vni]?.neighborSuppression == (isTold ? .known : .off))
      #expect(mapping.faults.messages.count == (isTold ? 1 : 0))
    }
  }
}
