// ConfigurationLoader+PortOptions: `profiles:`, and the keys that profiles and ports have in common.

import Encap
import VTEP

extension ConfigurationLoader {
  /// `profiles:`, a mapping of names to settings.
  func readProfiles(_ node: YAMLNode, _ reader: ConfigurationReader) -> [String: PortOptions] {
    guard let section = ConfigurationSection(node, title: "profiles", reader: reader) else { return [:] }
    var profiles: [String: PortOptions] = [:]
    for entry in section.all {
      // A profile that cannot be read exists all the same, so that its ports are not blamed.
      profiles[entry.key] = PortOptions()
      let subject = DesiredState.Problem.Subject.profile(entry.key)
      reader.remember(entry.position, subject)
      guard var keys = ConfigurationSection(entry.value, title: "profile \(entry.key)", reader: reader) else { continue }
      profiles[entry.key] = readPortOptions(&keys, subject)
      keys.finish()
    }
    return profiles
  }

  /// The keys of a profile, which are also a port's.
  func readPortOptions(_ section: inout ConfigurationSection, _ subject: DesiredState.Problem.Subject) -> PortOptions {
    let reader = section.reader
    section.remember(["vni", "vlans", "mtu", "anti-spoofing", "l2-protocols"], of: subject)
    var options = PortOptions()
    options.vni = section.node("vni").flatMap { reader.vni($0, "vni") }
    options.vlans = section.node("vlans").map { readVLANs($0, reader, subject) }
    options.mtu = section.integer("mtu", in: PortOptions.mtuRange)
    options.isEnabled = section.boolean("enabled")
    options.offloads = section.choice("offloads", as: PortOffloads.self)
    options.antiSpoofing = section.boolean("anti-spoofing")
    options.isAnnounced = section.boolean("announce")
    options.isIsolated = section.boolean("isolated")
    options.tpid = section.node("tpid").flatMap { node in
      let tpid = node.text.flatMap { PortTPID(text: $0) }
      if tpid == nil {
        reader.report(node.position, "tpid must be \(PortTPID.allCases.map(\.text).joinedAsChoice), not \(node.shortDescription)")
      }
      return tpid
    }
    options.linkProtocols = section.choice("l2-protocols", as: LinkProtocols.self)
    options.hasBPDUGuard = section.boolean("bpdu-guard")
    options.probesLoops = section.boolean("loop-probe")
    options.macLimit = section.integer("mac-limit", in: 0...PortPolicy.maximumMACLimit).map(UInt32.init)
    if var limits = section.section("rate-limit") {
      options.ingress = readRate("ingress", in: &limits)
      options.egress = readRate("egress", in: &limits)
      limits.finish()
    }
    if let storm = readStormControl(&section) { options.storm = storm }
    return options
  }

  /// `storm-control`, of a port, a profile or a VNI; nil when the key is absent.
  func readStormControl(_ section: inout ConfigurationSection) -> PortOptions.StormOptions? {
    guard var storm = section.section("storm-control") else { return nil }
    defer { storm.finish() }
    let range = 0...StormLimits.maximum
    return PortOptions.StormOptions(
      broadcast: storm.integer("broadcast", in: range).map(UInt64.init),
      unknownUnicast: storm.integer("unknown-unicast", in: range).map(UInt64.init),
      unknownMulticast: storm.integer("unknown-multicast", in: range).map(UInt64.init))
  }

  private func readRate(_ key: String, in limits: inout ConfigurationSection) -> PortOptions.RateOptions {
    guard var rate = limits.section(key) else { return PortOptions.RateOptions() }
    defer { rate.finish() }
    return PortOptions.RateOptions(
      bits: rate.integer("bits", in: 0...PortPolicy.maximumBits).map(UInt64.init),
      packets: rate.integer("packets", in: 0...PortPolicy.maximumPackets).map(UInt64.init))
  }

  private func readVLANs(_ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject) -> [UInt16: VNI] {
    guard let section = ConfigurationSection(node, title: "vlans", reader: reader) else { return [:] }
    var vlans: [UInt16: VNI] = [:]
    for entry in section.all {
      let vni = reader.vni(entry.value, "the VNI of VLAN \(entry.key)")
      guard let vlan = reader.vlan(entry) else { continue }
      reader.remember(entry.position, subject, ["vlans", entry.key])
      reader.remember(entry.value.position, subject, ["vlans", entry.key, "vni"])
      vlans[vlan] = vni
    }
    return vlans
  }
}
