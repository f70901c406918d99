// PortArguments: the options of `vtepctl port add` and `port set`, as keys of the configuration file.

import ArgumentParser
import VTEPControl

struct PortArguments: ParsableArguments {
  @Option(help: "Kind of port.") var kind: PortCommand.Kind?
  @Option(help: "Kernel interface: created (tap) or existing (netdev).") var device: String?
  @Option(
    name: .customLong(PortCommand.portSocketOption),
    help: ArgumentHelp("Unix socket of a vhost-user or memif peer; --socket after 'port add' means the same.", valueName: "socket"))
  var portSocket: String?
  @Option(help: "client: connect to the socket, and reconnect; server: create the socket and listen.") var role: PortCommand.Role?
  @Option(help: "Owner of a socket that vtepd creates.") var socketOwner: String?
  @Option(help: "Group of a socket that vtepd creates.") var socketGroup: String?
  @Option(help: ArgumentHelp("Permissions of a socket that vtepd creates; clients need write permission.", valueName: "octal"))
  var socketMode: String?
  @Option(help: "Queue pairs to offer.") var queues: Int?
  @Option(help: "Number of a memif interface on its socket.") var memifID: UInt32?
  @Option(help: "DPDK device and its arguments.") var devargs: String?
  @Option(help: "Profile that supplies unset options.") var profile: String?
  @Option(help: "VNI of untagged frames.") var vni: UInt32?
  @Option(help: ArgumentHelp("VNI of frames with this VLAN tag; repeatable.", valueName: "vid:vni"))
  var vlan: [PortCommand.VLANBinding] = []
  @Option(help: "Static MAC address behind the port; repeatable.") var mac: [String] = []
  @Option(help: "MTU of the interface in bytes.") var mtu: Int?
  @Option(help: "off: do not offer the guest checksum or segmentation offloads.") var offloads: PortCommand.Offloads?
  @Flag(inversion: .prefixedNo, help: "Administrative state: a disabled port is down; --enabled reopens one that a guard shut.")
  var enabled: Bool?
  @Flag(inversion: .prefixedNo, help: "Accept only the port's configured addresses as sources.") var antiSpoofing: Bool?
  @Flag(inversion: .prefixedNo, help: "Announce the port's MAC addresses to the other VTEPs when it comes up.") var announce: Bool?
  @Flag(inversion: .prefixedNo, help: "Reach only the overlay and ports that are not isolated.") var isolated: Bool?
  @Option(help: ArgumentHelp("TPID of the port's VLAN tags.", valueName: "0x8100|0x88a8|any")) var tpid: String?
  @Option(
    help: "Link-local control frames (STP, LACP, LLDP, 802.1X): drop them, tunnel them through the VNI, or punt them to a kernel tap.")
  var l2Protocols: PortCommand.LinkProtocols?
  @Flag(inversion: .prefixedNo, help: "Shut the port when it receives a BPDU.") var bpduGuard: Bool?
  @Flag(inversion: .prefixedNo, help: "Probe for loops, and shut the port when one is found.") var loopProbe: Bool?
  @Option(help: "Most addresses to learn behind the port; 0: no limit.") var macLimit: UInt32?
  @Option(help: "Ingress limit in bits per second, from the guest; 0: no limit.") var ingressBits: Int64?
  @Option(help: "Ingress limit in packets per second, from the guest; 0: no limit.") var ingressPackets: Int64?
  @Option(help: "Egress limit in bits per second, to the guest; 0: no limit.") var egressBits: Int64?
  @Option(help: "Egress limit in packets per second, to the guest; 0: no limit.") var egressPackets: Int64?
  @Option(help: "Storm control: broadcasts per second from the guest; 0: no limit.") var stormBroadcast: Int64?
  @Option(help: "Storm control: unknown unicast frames per second from the guest; 0: no limit.")
  var stormUnknownUnicast: Int64?
  @Option(help: "Storm control: multicast frames per second from the guest; 0: no limit.") var stormUnknownMulticast: Int64?

  func validate() throws {
    guard Set(vlan.map(\.vlan)).count == vlan.count else { throw ValidationError("The same VLAN is given twice.") }
  }

  /// What was given.
  var values: [String: SettingValue] {
    var values: [String: SettingValue] = [:]
    values["kind"] = kind.map { .text($0.rawValue) }
    values["device"] = device.map { .text($0) }
    values["socket"] = portSocket.map { .text($0) }
    values["role"] = role.map { .text($0.rawValue) }
    values["socket-owner"] = socketOwner.map { .text($0) }
    values["socket-group"] = socketGroup.map { .text($0) }
    values["socket-mode"] = socketMode.map { .text($0) }
    values["queues"] = Self.number(queues)
    values["memif-id"] = Self.number(memifID)
    values["devargs"] = devargs.map { .text($0) }
    values["profile"] = profile.map { .text($0) }
    values["vni"] = Self.number(vni)
    if !vlan.isEmpty {
      values["vlans"] = .map(Dictionary(uniqueKeysWithValues: vlan.map { ("\($0.vlan)", .number(Int64($0.vni))) }))
    }
    if !mac.isEmpty { values["macs"] = .list(mac.map { .text($0) }) }
    values["mtu"] = Self.number(mtu)
    values["offloads"] = offloads.map { .text($0.rawValue) }
    values["enabled"] = enabled.map { .flag($0) }
    values["anti-spoofing"] = antiSpoofing.map { .flag($0) }
    values["announce"] = announce.map { .flag($0) }
    values["isolated"] = isolated.map { .flag($0) }
    values["tpid"] = tpid.map { .text($0) }
    values["l2-protocols"] = l2Protocols.map { .text($0.rawValue) }
    values["bpdu-guard"] = bpduGuard.map { .flag($0) }
    values["loop-probe"] = loopProbe.map { .flag($0) }
    values["mac-limit"] = Self.number(macLimit)
    values["rate-limit"] = Self.map([
      "ingress": Self.map(["bits": Self.number(ingressBits), "packets": Self.number(ingressPackets)]),
      "egress": Self.map(["bits": Self.number(egressBits), "packets": Self.number(egressPackets)]),
    ])
    values["storm-control"] = Self.map([
      "broadcast": Self.number(stormBroadcast), "unknown-unicast": Self.number(stormUnknownUnicast),
      "unknown-multicast": Self.number(stormUnknownMulticast),
    ])
    return values
  }

  private static func number(_ value: (some BinaryInteger)?) -> SettingValue? {
    value.map { .number(Int64(clamping: $0)) }
  }

  /// The entries that are there; nil when none is.
  private static func map(_ entries: [String: SettingValue?]) -> SettingValue? {
    let given = entries.compactMapValues(\.self)
    return given.isEmpty ? nil : .map(given)
  }
}
