// What is kept across a restart, and how long a wiped database is ignored.

import Encap
import Foundation
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Controller state")
struct ControllerStateTests {
  private let vni = VNI(truncating: 5000)
  private let near = TunnelDestination(IPAddress(ipv4: 0xc000_0202))
  private let keyed = TunnelDestination(IPAddress(ipv4: 0xc000_0203), key: VNI(truncating: 77))

  private var layer: ControllerLayer {
    var layer = ControllerLayer()
    var settings = LogicalSwitchSettings(name: "web tier")
    settings.replication = .sourceNode
    settings.neighborSuppression = .off
    settings.flood = [near, keyed]
    settings.groups = [MACAddress(bits: 0x0100_5e01_0101): [near], MACAddress(bits: 0x0100_5e01_0102): []]
    layer.switches = [vni: settings, VNI(truncating: 1): LogicalSwitchSettings(name: "")]
    var bfd = BFDSettings()
    (bfd.minRx, bfd.minTx, bfd.decayMinRx, bfd.pathIsDown) = (1000, 100, 3000, true)
    (bfd.destinationMAC, bfd.destinationIP) = (MACAddress(bits: 0x0023_2000_0002), IPAddress(ipv4: 0xa9fe_0109))
    layer.bfd = [near.address: BFDSettings(), keyed.address: bfd]
    layer.bindings = [.init(port: "p1", vlan: 0): vni, .init(port: "p 2", vlan: 4094): vni]
    var router = RouterSettings(name: "r 1")
    router.interfaces = [vni: [RouterAddress("192.0.2.1/24")!, RouterAddress("2001:db8::1/64")!]]
    router.acls = [vni: "web tier"]
    router.routes = [IPPrefix("0.0.0.0/0")!: IPAddress(ipv4: 0xc000_0209)]
    layer.routers = [router.name: router, "": RouterSettings(name: "")]
    layer.routedVNIs = [vni]
    layer.arpSources = [MACAddress(bits: 0x0e77_c000_0202): near.address]
    var entry = ACLEntry(sequence: 7, direction: .egress, action: .permit)
    (entry.source, entry.protocolNumber, entry.destinationPorts) = (ACLEntry.MaskedAddress("10.0.0.0/8"), 6, 80...90)
    layer.acls = [
      "web tier": ACLSettings(name: "web tier", entries: [entry, ACLEntry(sequence: 9, direction: .ingress, action: .deny)]),
      "": ACLSettings(name: ""),
    ]
    layer.aclBindings = [.init(port: "p 2", vlan: 0): "web tier", .init(port: "p1", vlan: 7): ""]
    return layer
  }

  private var addresses: [ControllerEdit.Address] {
    [
      .init(
        vni: vni, mac: MACAddress(bits: 0x0200_0000_0001), destination: near,
        addresses: [IPAddress(ipv4: 0x0a00_0001), IPAddress(high: 0x2001_0db8_0000_0000, low: 1)]),
      .init(vni: vni, mac: MACAddress(bits: 0x0200_0000_0002), destination: keyed),
    ]
  }

  @Test("saved state is restored")
  func roundTrip() throws {
    let edit = try ControllerStateFile.edit(ControllerStateFile.text(layer, addresses))
    #expect(edit.layer == layer)
    #expect(edit.addresses == addresses)
  }

  @Test("a controller may give any name", arguments: ["\u{301}x", " \u{200d} y", "a\r\nb", "\u{85}"])
  func names(_ name: String) throws {
    var layer = layer
    layer.switches[vni]?.name = name
    let edit = try ControllerStateFile.edit(ControllerStateFile.text(layer, addresses))
    #expect(edit.layer?.switches[vni]?.name == String(name.map { $0.isNewline ? " " : $0 }))
    #expect(edit.layer?.bindings == layer.bindings)
  }

  @Test("truncated anywhere, or from another version: not used")
  func broken() {
    let text = ControllerStateFile.text(layer, addresses)
    for count in 0..<text.count {
      #expect(throws: ControllerStateFile.Unusable.self) { try ControllerStateFile.edit(String(text.prefix(count))) }
    }
    #expect(throws: ControllerStateFile.Unusable.self) { try ControllerStateFile.edit("vtepd controller state 2\nend 0\n") }
    for (offset, byte) in text.utf8.enumerated() {
      var bytes = Array(text.utf8)
      bytes[offset] = byte ^ 1
      let changed = String(decoding: bytes, as: UTF8.self)
      #expect(throws: ControllerStateFile.Unusable.self, "octet \(offset)") { try ControllerStateFile.edit(changed) }
    }
    // Earlier releases wrote no checksum.
    let (head, end) = (text.split(separator: "\n").dropLast(), text.split(separator: "\n").last?.split(separator: " ") ?? [])
    let earlier = head.joined(separator: "\n") + "\n" + end.prefix(2).joined(separator: " ") + "\n"
    #expect((try? ControllerStateFile.edit(earlier))?.layer == layer)
    #expect(throws: ControllerStateFile.Unusable.self) { try ControllerStateFile.edit("vtepd controller state 1\nflood x y\nend 1\n") }
  }

  @Test("on disk")
  func file() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "vtepd-\(UUID())")
    defer { try? FileManager.default.removeItem(at: directory) }
    let file = ControllerStateFile(stateDirectory: directory.path)
    #expect(try file.load() == nil)
    try file.save(layer, addresses)
    #expect(try file.load()?.layer == layer)
    for bytes in [Data(), Data("vtepd controller state 1\n".utf8), Data([0xff, 0xfe])] {
      try bytes.write(to: URL(filePath: file.path))
      let error = #expect(throws: ControllerStateFile.Unusable.self) { try file.load() }
      #expect(error?.description.contains("it is now \(file.path).unusable") == true)
      #expect(try Data(contentsOf: URL(filePath: file.path + ".unusable")) == bytes)
      #expect(try file.load() == nil)
    }
  }

  @Test("the row of the switch is remembered on disk; a file that is damaged is set aside")
  func identity() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "vtepd-\(UUID())")
    defer { try? FileManager.default.removeItem(at: directory) }
    var identity = SwitchIdentity(stateDirectory: directory.path)
    #expect(identity.row == nil)
    let row = RowID.random()
    try identity.remember(row)
    #expect(SwitchIdentity(stateDirectory: directory.path).row == row)
    try identity.remember(.zero)
    #expect(SwitchIdentity(stateDirectory: directory.path).row == .zero)
    try "01234567-89ab".write(toFile: identity.path, atomically: true, encoding: .utf8)
    let damaged = SwitchIdentity(stateDirectory: directory.path)
    #expect(damaged.row == nil && damaged.problem?.contains("it is now \(identity.path).unusable") == true)
    #expect(SwitchIdentity(stateDirectory: directory.path).problem == nil)
    try identity.remember(row)
    #expect(SwitchIdentity(stateDirectory: directory.path).row == row)
  }
}
