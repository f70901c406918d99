// ConfigurationLoader+VNIs: one element of `vnis:`.

import Encap
import MulticastLearn
import VTEP

extension ConfigurationLoader {
  /// - Returns: nil if the VNI's number cannot be read.
  func readVNI(_ node: YAMLNode, _ reader: ConfigurationReader) -> VNISettings? {
    guard var section = ConfigurationSection(node, title: "VNI", reader: reader) else { return nil }
    // Reads the other keys even without a number, to report their problems, too.
    let number = section.required("vni")
    let vni = number.flatMap { reader.vni($0, "vni") }
    let subject = DesiredState.Problem.Subject.vni(vni ?? VNI(truncating: 0))
    if vni != nil {
      reader.remember(section.position, subject)
      section.remember(["vni", "flood", "group", "peers", "accept-from", "ageing-seconds", "macs"], of: subject)
    }
    var settings = VNISettings(vni: vni ?? VNI(truncating: 0), flood: .none)
    settings.flood = readFlood(&section, subject)
    settings.learning = section.boolean("learning") ?? settings.learning
    settings.acceptFrom = section.choice("accept-from", as: VNISettings.AcceptFrom.self) ?? settings.acceptFrom
    settings.innerVLAN = section.choice("inner-vlan", as: VNISettings.InnerVLAN.self) ?? settings.innerVLAN
    settings.neighborSuppression =
      section.choice("neighbor-suppression", as: NeighborSuppression.self) ?? settings.neighborSuppression
    settings.ageingSeconds =
      section.integer("ageing-seconds", in: 0...Int(VNISettings.maximumAgeingSeconds)).map { UInt32($0) } ?? settings.ageingSeconds
    settings.macLimit = section.integer("mac-limit", in: 0...(16 << 20)).map { UInt32($0) } ?? settings.macLimit
    if var storm = section.section("storm-control") {
      let range = 0...StormLimits.maximum
      settings.storm.broadcast = storm.integer("broadcast", in: range).map(UInt64.init) ?? 0
      settings.storm.unknownUnicast = storm.integer("unknown-unicast", in: range).map(UInt64.init) ?? 0
      settings.storm.unknownMulticast = storm.integer("unknown-multicast", in: range).map(UInt64.init) ?? 0
      storm.finish()
    }
    if var moves = section.section("mac-move") {
      settings.macMoveAction = moves.choice("action", as: ProtectionSettings.MACMove.Action.self)
      moves.finish()
    }
    var read: Set<MACAddress> = []
    for element in section.list("macs") ?? [] {
      guard let (mac, vtep, addresses) = readStaticMAC(element, reader, subject) else { continue }
      for address in addresses {
        if let other = settings.neighbors.updateValue(mac, forKey: address) {
          reader.report(DesiredState.Problem(subject, ["macs", "\(mac)", "ip"], "ip \(address) is given twice: to \(other) and \(mac)"))
        }
      }
      settings.macs[mac] = vtep
      if !read.insert(mac).inserted {
        reader.report(DesiredState.Problem(subject, ["macs", "\(mac)"], "mac \(mac) is given twice"))
      }
    }
    section.finish()
    return vni == nil ? nil : settings
  }

  private func readFlood(_ section: inout ConfigurationSection, _ subject: DesiredState.Problem.Subject) -> FloodMode {
    let reader = section.reader
    var keys = FloodKeys()
    let flood = section.node("flood")
    let mode = flood.map { reader.choice($0, "flood", as: FloodKeys.Mode.self) } ?? .multicast
    let group = section.node("group")
    keys.isGroupGiven = group != nil
    keys.group = group.flatMap { reader.address($0, "group") }
    let peers = section.node("peers")
    keys.peers = peers.map { readPeers($0, reader, subject) }
    guard let mode else { return .none }
    keys.mode = mode
    for problem in keys.problems {
      let position = [("flood", flood), ("group", group), ("peers", peers)].first { $0.0 == problem.key }?.1?.position
      reader.report(position ?? section.position, problem.message)
    }
    return keys.floodMode ?? .none
  }

  private func readPeers(_ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject) -> [IPAddress] {
    (reader.list(node, "peers") ?? []).compactMap { element in
      guard let address = reader.address(element, "a peer") else { return nil }
      reader.remember(element.position, subject, ["peers", "\(address)"])
      return address
    }
  }

  private func readStaticMAC(
    _ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject
  ) -> (MACAddress, IPAddress?, [IPAddress])? {
    guard var section = ConfigurationSection(node, title: "static mac", reader: reader) else { return nil }
    let macNode = section.required("mac")
    let ipNode = section.node("ip")
    // With IP addresses alone, for a station whose place is a port's, or learned.
    let hasAddresses = ipNode.map { $0.sequence?.isEmpty != true } ?? false
    let vtepNode = hasAddresses ? section.node("vtep") : section.required("vtep")
    section.finish()
    // One address or a list.
    let addresses = (ipNode?.sequence ?? ipNode.map { [$0] } ?? []).compactMap { reader.address($0, "ip") }
    let mac = macNode.flatMap { reader.macAddress($0, "mac") }
    let vtep = vtepNode.flatMap { reader.address($0, "vtep") }
    guard let mac, let macNode, vtep != nil || vtepNode == nil && hasAddresses else { return nil }
    reader.remember(macNode.position, subject, ["macs", "\(mac)"])
    if let vtepNode { reader.remember(vtepNode.position, subject, ["macs", "\(mac)", "vtep"]) }
    if let ipNode { reader.remember(ipNode.position, subject, ["macs", "\(mac)", "ip"]) }
    return (mac, vtep, addresses)
  }
}
