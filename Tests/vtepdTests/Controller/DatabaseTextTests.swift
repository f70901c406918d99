// Addresses in the database are unchecked text: what has one meaning is taken for it, the rest is reported, row by row.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Texts in the database")
struct DatabaseTextTests {
  private let vni = VNI(truncating: 5000)

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
    ] {
      #expect(IPAddress(database: text) == address)
    }
    for text in ["10.0.0.5/24", "10.0.0.5/32", "10.0.0.5/0"] { #expect(IPAddress(database: text) == IPAddress(ipv4: 0x0a00_0005)) }
    #expect(IPAddress(database: "2001:db8::a/128") == address)
    #expect(IPAddress(database: "::ffff:10.0.0.5") == IPAddress(ipv4: 0x0a00_0005))
    for text in [
      "", "10.0.0", "10.0.0.05", "10.0.0.5/33", "10.0.0.0/24", "2001:db8::/64", "::/0", "10.0.0.5/x", "10.0.0.5/24/1", "2001:db8::a%eth0",
      "host", "1:2:3", "10.0.0.5,10.0.0.6",
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

  @Test func suppressionCanBeTurnedOffPerLogicalSwitch() throws {
    var database = try FakeDatabase()
    let ls = database.addSwitch("ls0", key: 5000)
    var (mapping, edit) = load(database)
    #expect(edit.layer?.switches[vni]?.neighborSuppression == .known)
    let pair = OVSDBDatum(["neighbor-suppression": "off"])
    edit = mapping.update(database.set(.logicalSwitch, ls, ["other_config": pair]), database.replica)
    #expect(edit.layer?.switches[vni]?.neighborSuppression == .off)
  }
}
