// ConfigurationLoader+Underlay: the `underlay:` section: VTEP addresses, the attachment, and outer header fields.

import Encap
import VTEP

extension ConfigurationLoader {
  func readUnderlay(_ node: YAMLNode, _ reader: ConfigurationReader) -> UnderlaySettings {
    var settings = UnderlaySettings(addresses: [], devices: [])
    reader.remember(node.position, .underlay)
    guard var section = ConfigurationSection(node, title: "underlay", reader: reader) else {
      settleUnderlay(reader)
      return settings
    }
    section.remember(
      ["addresses", "device", "dpdk", "tap", "udp-port", "ttl", "multicast-ttl", "dscp", "pcp-to-dscp", "dscp-to-pcp"], of: .underlay)
    let addresses = section.required("addresses").flatMap { reader.list($0, "addresses") }
    for element in addresses ?? [] {
      guard let address = reader.address(element, "a VTEP address") else { continue }
      reader.remember(element.position, .underlay, ["addresses", "\(address)"])
      settings.addresses.append(address)
    }
    if addresses?.isEmpty != true { reader.settle(.underlay, ["addresses"]) }
    readUplinks(&section, into: &settings)
    settings.udpPort = section.integer("udp-port", in: 1...65535).map { UInt16($0) } ?? settings.udpPort
    if let ttl = readFixedOrInherit("ttl", in: 1...255, &section) {
      settings.ttl = ttl.map { .fixed($0) } ?? .inherit
    }
    settings.multicastTTL = section.integer("multicast-ttl", in: 1...255).map { UInt8($0) } ?? settings.multicastTTL
    if let dscp = readFixedOrInherit("dscp", in: 0...63, &section) {
      settings.dscp = dscp.map { .fixed($0) } ?? .inherit
    }
    settings.priorities = readPriorities(&section)
    settings.udpChecksum = section.choice("udp-checksum", as: UnderlaySettings.UDPChecksum.self) ?? settings.udpChecksum
    settings.acceptsZeroUDP6Checksum = section.boolean("udp6-zero-checksum-rx") ?? settings.acceptsZeroUDP6Checksum
    settings.pmtu = section.choice("pmtu", as: UnderlaySettings.PMTUMode.self) ?? settings.pmtu
    settings.ipsecPolicy = section.choice("ipsec-policy", as: UnderlaySettings.IPsecPolicyMode.self) ?? settings.ipsecPolicy
    settings.bfd = readBFD(&section)
    section.finish()
    return settings
  }

  /// `pcp-to-dscp`, a list of eight, and `dscp-to-pcp`, a mapping.
  private func readPriorities(_ section: inout ConfigurationSection) -> PriorityMap {
    let reader = section.reader
    var map = PriorityMap()
    if let node = section.node("pcp-to-dscp"), let elements = reader.list(node, "pcp-to-dscp") {
      let values = elements.map { reader.integer($0, "a DSCP", in: 0...63) }
      map.dscpOfPCP = values.map { UInt8($0 ?? 0) }
    }
    if let entries = section.section("dscp-to-pcp") {
      for entry in entries.all {
        guard let dscp = UInt8(entry.key), dscp < 64, String(dscp) == entry.key else {
          reader.report(entry.position, "a DSCP must be a whole number from 0 to 63, not '\(entry.key)'")
          continue
        }
        guard let pcp = reader.integer(entry.value, "the priority of DSCP \(dscp)", in: 0...7) else { continue }
        map.pcpOfDSCP[dscp] = UInt8(pcp)
      }
    }
    return map
  }

  /// `device` with `driver`, or `dpdk` with `tap`.
  private func readUplinks(_ section: inout ConfigurationSection, into settings: inout UnderlaySettings) {
    let reader = section.reader
    let (device, dpdk, tap) = (section.entry("device"), section.entry("dpdk"), section.entry("tap"))
    let (driver, offloads) = (section.entry("driver"), section.entry("offloads"))
    if let dpdk {
      if let offloads {
        settings.offloads = reader.choice(offloads.value, "offloads", as: UnderlaySettings.OffloadMode.self) ?? settings.offloads
      }
      settings.nics = readNames(dpdk, reader)
      if let tap {
        settings.devices = readNames(tap, reader)
      } else if device == nil {
        reader.report(dpdk.position, "underlay: key 'tap' is missing: the name of the interface that stands for the NIC in the kernel")
      }
      for other in [device, driver].compactMap(\.self) {
        reader.report(dpdk.position, "underlay: 'dpdk' and '\(other.key)' exclude each other")
      }
      // A list that is wrong has been reported, and an empty one of NICs would pass for "shared".
      if settings.nics.isEmpty, dpdk.value.sequence?.isEmpty == true {
        reader.report(dpdk.value.position, "at least one NIC is required in dpdk")
      }
      if tap == nil || settings.nics.isEmpty { settleUplinks(reader) }
      return
    }
    for other in [tap, offloads].compactMap(\.self) {
      reader.report(other.position, "underlay: '\(other.key)' belongs to 'dpdk', which is missing")
    }
    if let driver { settings.driver = reader.choice(driver.value, "driver", as: UnderlaySettings.Driver.self) ?? settings.driver }
    if let device {
      settings.devices = readNames(device, reader)
    } else {
      if tap == nil { reader.report(section.position, "underlay: key 'device' is missing, or 'dpdk' and 'tap'") }
      settleUplinks(reader)
    }
  }

  /// One name, or a list of names.
  private func readNames(_ entry: ConfigurationSection.Entry, _ reader: ConfigurationReader) -> [String] {
    var names: [String] = []
    let elements = entry.value.sequence ?? [entry.value]
    if !elements.isEmpty { reader.settle(.underlay, [entry.key]) }
    for element in elements {
      guard let name = reader.text(element, entry.key) else { continue }
      reader.remember(element.position, .underlay, [entry.key, name])
      names.append(name)
    }
    return names
  }

  /// Do not report that uplinks are missing.
  private func settleUplinks(_ reader: ConfigurationReader) {
    for key in ["device", "tap"] { reader.settle(.underlay, [key]) }
  }

  /// A number or `inherit`.
  ///
  /// - Returns: nil when the key is absent or wrong; an inner nil for `inherit`.
  private func readFixedOrInherit(_ key: String, in range: ClosedRange<UInt8>, _ section: inout ConfigurationSection) -> UInt8?? {
    guard let node = section.node(key) else { return nil }
    if node.text == "inherit" { return .some(nil) }
    if let text = node.plainText, let value = UInt8(text), range.contains(value), String(value) == text { return value }
    section.reader.report(
      node.position,
      "\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound) or inherit, not \(node.shortDescription)")
    return nil
  }
}
