// FrameFacts: the frames of a trace in words: the headers that `FrameLayer` finds, as a line for people and as values for scripts.

import VTEPControl

extension TraceStageRow {
  /// - Parameters:
  ///   - octets: the frame that the stage is about.
  ///   - isOuter: only its outer headers are meant.
  ///   - udpPort: of VXLAN.
  init(_ stage: String, _ text: String, _ facts: [String: SettingValue], _ octets: [UInt8], isOuter: Bool, udpPort: UInt16) {
    var layers = FrameLayer.dissect(octets, vxlanPort: isOuter ? udpPort : 0)
    if isOuter, let vxlan = layers.firstIndex(where: { $0.name == "VXLAN" }) {
      layers.removeSubrange((vxlan + 1)...)
      let values = layers.outerFacts.merging(["octets": .text(Array(octets.prefix(layers[vxlan].offset + 8)).hexDigits)]) { $1 }
      self.init(stage: stage, text: layers.line, facts: values.merging(facts) { $1 })
      return
    }
    let line = "\(layers.line); \(octets.count) octets"
    let values = layers.facts.merging(["length": .number(Int64(octets.count))]) { $1 }
    self.init(stage: stage, text: text.isEmpty ? line : "\(text): \(line)", facts: values.merging(facts) { $1 })
  }
}

extension [FrameLayer] {
  /// All headers.
  fileprivate var line: String { map { "\($0.name) \($0.text)" }.joined(separator: "; ") }

  private func fields(_ names: String...) -> [String: String]? { first { names.contains($0.name) }?.fields }

  /// Of a guest's frame.
  fileprivate var facts: [String: SettingValue] {
    var facts: [String: SettingValue] = [:]
    func note(_ key: String, _ text: String?) { if let text { facts[key] = .text(text) } }
    func note(number key: String, _ text: String?) { if let number = text.flatMap(Int64.init(field:)) { facts[key] = .number(number) } }
    guard let ethernet = fields("Ethernet") else { return [:] }
    let tags = filter { $0.name == "VLAN" }
    note("source", ethernet["source"])
    note("destination", ethernet["destination"])
    note("ether_type", tags.last?.fields["type"] ?? ethernet["type"])
    facts["tags"] = .list(tags.compactMap { $0.fields["vlan"].flatMap(Int64.init(field:)) }.map { .number($0) })
    let network = fields("IPv4", "IPv6")
    note("ip_source", network?["source"])
    note("ip_destination", network?["destination"])
    note(number: "ip_protocol", network?["protocol"])
    let transport = fields("UDP", "TCP")
    note(number: "port_source", transport?["source_port"])
    note(number: "port_destination", transport?["destination_port"])
    return facts
  }

  /// Of the outer headers of a packet; what its IP version does not have is null.
  fileprivate var outerFacts: [String: SettingValue] {
    let (ethernet, ip, udp, vxlan) = (fields("Ethernet"), fields("IPv4", "IPv6"), fields("UDP"), fields("VXLAN"))
    func text(_ value: String?) -> SettingValue { value.map { .text($0) } ?? .null }
    func number(_ value: String?) -> Int64? { value.flatMap(Int64.init(field:)) }
    func value(_ number: Int64?) -> SettingValue { number.map { .number($0) } ?? .null }
    let trafficClass = number(ip?["tos"] ?? ip?["traffic_class"])
    return [
      "source_mac": text(ethernet?["source"]), "destination_mac": text(ethernet?["destination"]), "source": text(ip?["source"]),
      "destination": text(ip?["destination"]), "ttl": value(number(ip?["ttl"] ?? ip?["hop_limit"])),
      "dscp": value(trafficClass.map { $0 >> 2 }), "ecn": value(trafficClass.map { $0 & 3 }), "identification": value(number(ip?["id"])),
      "df": number(ip?["fragment"]).map { .flag($0 & 0x4000 != 0) } ?? .null, "ip_checksum": value(number(ip?["checksum"])),
      "flow_label": value(number(ip?["flow_label"])), "udp_source": value(number(udp?["source_port"])),
      "udp_destination": value(number(udp?["destination_port"])), "udp_length": value(number(udp?["length"])),
      "udp_checksum": value(number(udp?["checksum"])), "vni": value(number(vxlan?["vni"])), "vxlan_flags": value(number(vxlan?["flags"])),
    ]
  }
}

extension Int64 {
  /// A number as `FrameLayer` writes it.
  fileprivate init?(field: String) {
    guard let value = field.hasPrefix("0x") ? Int64(field.dropFirst(2), radix: 16) : Int64(field) else { return nil }
    self = value
  }
}
