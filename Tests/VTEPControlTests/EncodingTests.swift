// The control socket's format, byte for byte: scripts read these keys, and each must always be present.

import FoundationEssentials
import Testing

@testable import VTEPControl

@Suite struct EncodingTests {
  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try JSONRPC.line(value), as: UTF8.self)
  }

  @Test func absentValuesAreNull() throws {
    let row = MACTableRow(vni: 5001, mac: "02:00:00:00:00:01", type: .learned, location: .port, port: "vm1", moves: 2)
    #expect(
      try json(row)
        == #"{"age_s":null,"location":"port","mac":"02:00:00:00:00:01","moves":2,"port":"vm1","type":"learned","vlan":null,"vni":5001,"vtep":null}"#
        + "\n")
  }

  @Test func everyTableHasItsKeys() throws {
    let status = DaemonStatus(
      state: .running, name: "hv1", mode: "hypervisor", version: "1", uptimeSeconds: 3, workers: 1, ports: 2, vnis: 3, macs: 4)
    #expect(
      try json(status)
        == #"{"counted_s":0,"macs":4,"mode":"hypervisor","name":"hv1","ports":2,"problems":[],"state":"running","unattached":[],"unconfirmed":null,"uptime_s":3,"version":"1","vnis":3,"workers":1}"#
        + "\n")
    #expect(
      try json(MACMoveRow(vni: 1, mac: "m", state: .frozen, first: "port a", second: "port b", moves: 6, frozenSeconds: 1))
        == #"{"first":"port a","frozen_s":1,"mac":"m","moves":6,"release_s":null,"second":"port b","state":"frozen","vni":1}"# + "\n")
    #expect(
      try json(VNIRow(vni: 1, source: .config, flood: "none"))
        == #"{"accept_from":"any","ageing_s":300,"flood":"none","flooded":0,"group":null,"inner_vlan":"discard","learn_refusals":0,"learning":true,"logical_switch":null,"mac_limit":0,"macs":0,"neighbor_answers":0,"neighbor_passes":0,"neighbor_suppression":"off","peers":[],"ports":[],"prepared_s":null,"rx_bytes":0,"rx_packets":0,"source":"config","storm":{"broadcast":0,"drops":{},"unknown_multicast":0,"unknown_unicast":0},"tx_bytes":0,"tx_packets":0,"vni":1}"#
        + "\n")
    #expect(
      try json(VTEPRow(address: "192.0.2.2", state: .resolving, nextHops: [NextHopRow(address: "192.0.2.254", device: "eth0")]))
        == #"{"address":"192.0.2.2","bfd":null,"bfd_ignored":0,"macs":0,"mtu":null,"next_hops":[{"address":"192.0.2.254","device":"eth0","mac":null,"state":null}],"path_mtu":null,"reason":null,"rx_bytes":0,"rx_packets":0,"state":"resolving","tx_bytes":0,"tx_packets":0,"vnis":[]}"#
        + "\n")
    let limited = PortLimits(
      settings: Dictionary(uniqueKeysWithValues: PortKey.all.filter { $0.display == .limits }.map { ($0.name, .number(0)) }))
    let limits =
      #""limits":{"anti_spoofing":0,"drops":{},"egress_bits":0,"egress_packets":0,"ingress_bits":0,"ingress_packets":0,"mac_limit":0,"#
      + #""macs":0,"storm_broadcast":0,"storm_unknown_multicast":0,"storm_unknown_unicast":0},"#
    #expect(
      try json(
        PortRow(
          PortState(name: "p", kind: "tap", device: "t", state: .waiting, limits: limited, drops: .max),
          settings: ["bpdu-guard": .flag(false), "vlans": .map(["100": .number(5001)]), "l2-protocols": .text("drop")]))
        == #"{"acl":null,"announce":null,"bpdu_guard":false,"device":"t","drops":18446744073709551615,"enabled":null,"features":[],"guest_mtu":null,"isolated":null,"kind":"tap","l2_protocols":"drop",\#(limits)"loop_probe":null,"mac":null,"mtu":null,"name":"p","notes":[],"offloads":null,"profile":null,"punt_tap":null,"queues":0,"rx_bytes":0,"rx_packets":0,"shut":null,"shut_s":null,"state":"waiting","tpid":null,"tx_bytes":0,"tx_packets":0,"vlan_acls":null,"vlans":{"100":5001},"vni":null}"#
        + "\n")
    #expect(
      try json(BindingRow(port: "p", vni: 5001, source: .config, txBytes: 1))
        == #"{"port":"p","rx_bytes":0,"rx_packets":0,"source":"config","tx_bytes":1,"tx_packets":0,"vlan":null,"vni":5001}"# + "\n")
    #expect(
      try json(DropRow(reason: "runt", place: "port p", count: 1, description: "too short"))
        == #"{"count":1,"description":"too short","reason":"runt","where":"port p"}"# + "\n")
    #expect(
      try json(MulticastRow(group: "239.1.1.1", vnis: [1], interface: "eth0", joined: true))
        == #"{"error":null,"group":"239.1.1.1","interface":"eth0","joined":true,"vnis":[1]}"# + "\n")
    #expect(
      try json(
        UnderlayRow(
          address: "192.0.2.1", device: "eth0", driver: "af_packet", destinations: [DestinationRow(address: "192.0.2.2", state: .resolved)])
      )
        == #"{"address":"192.0.2.1","classes":null,"destinations":[{"address":"192.0.2.2","next_hops":[],"state":"resolved"}],"device":"eth0","dpdk":null,"driver":"af_packet","features":[],"ignored":{},"missed":0,"mtu":null,"notes":[],"offloads":{},"present":true,"rx_packets":0,"tx_packets":0,"up":false}"#
        + "\n")
    #expect(
      try json(HostClassRow(name: "link", limit: 2000, toHost: 1))
        == #"{"class":"link","dropped":0,"from_host":0,"limit":2000,"to_host":1}"# + "\n")
    #expect(
      try json(WorkerRow(worker: 0))
        == #"{"busy_percent":null,"core":null,"cycles_per_packet":null,"learn_events_lost":0,"packets":0,"queues":[],"role":"worker","worker":0}"#
        + "\n")
    #expect(try json(Page<DropRow>([])) == #"{"next":null,"rows":[]}"# + "\n")
    #expect(try json(ConfigurationAnswer()) == #"{"changes":[],"needs_restart":[]}"# + "\n")
  }

  @Test func valuesSurviveTheWire() throws {
    let rows = [
      MACTableRow(vni: 1, mac: "02:00:00:00:00:01", type: .static, location: .vtep, vtep: "2001:db8::2", ageSeconds: 7, moves: 1),
      MACTableRow(vni: 2, mac: "02:00:00:00:00:02", type: .controller, location: .port, port: "é\"\\\n", vlan: 4094),
    ]
    let page = Page(rows, next: .max)
    #expect(try JSONDecoder().decode(Page<MACTableRow>.self, from: JSONRPC.line(page)) == page)
    let port = AddPort(
      name: "p",
      settings: [
        "kind": .text("tap"), "mtu": .number(9000), "enabled": .flag(false), "vni": .null, "macs": .list([.text("1")]),
        "vlans": .map(["1": .number(.max)]),
      ])
    #expect(try JSONDecoder().decode(AddPort.self, from: JSONRPC.line(port)) == port)
  }

  @Test func missingKeysOfOlderDaemonsAreAbsentValues() throws {
    let text = #"{"vni":1,"mac":"02:00:00:00:00:01","type":"learned","location":"port","moves":0}"#
    #expect(try JSONDecoder().decode(MACTableRow.self, from: Data(text.utf8)).port == nil)
  }

  @Test func messagesAreOneLine() throws {
    let line = try JSONRPC.line(ApplyConfiguration(file: "a\nb", text: "x:\r\n  y: \u{2028}\n"))
    #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1)
    #expect(line.last == UInt8(ascii: "\n"))
  }

  @Test func errorsCarryTheirDetails() throws {
    let failure = JSONRPC.Failure(id: .string("a"), error: ControlError(.refused, "no", details: ["f:1:2: x"]))
    let text = #"{"error":{"code":-32000,"data":{"details":["f:1:2: x"]},"message":"no"},"id":"a","jsonrpc":"2.0"}"# + "\n"
    #expect(try json(failure) == text)
    #expect(try JSONDecoder().decode(JSONRPC.Failure.self, from: Data(text.utf8)) == failure)
    #expect(failure.error.description == "no\nf:1:2: x")
  }
}
