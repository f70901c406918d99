// PortValue: the forms of values that a port's keys have: how each is read, and how it is written to the file and to `show ports`.

import Encap
import VTEP
import VTEPControl

struct PortValue<Value: Sendable>: Sendable {
  /// Nil: the value is wrong, which was reported.
  let read: @Sendable (ConfigurationReader.Value) -> Value?
  /// Nil: there is nothing to write.
  let write: @Sendable (Value) -> SettingValue?

  var optional: PortValue<Value?> {
    PortValue<Value?>(read: { read($0) }, write: { $0.flatMap(write) })
  }
}

extension PortValue where Value == Bool {
  static var flag: Self { Self(read: { $0.reader.boolean($0.node, $0.name) }, write: { .flag($0) }) }
}

extension PortValue where Value == String {
  static var text: Self { Self(read: { $0.reader.text($0.node, $0.name) }, write: { .text($0) }) }
}

extension PortValue where Value: FixedWidthInteger {
  static func number(_ range: ClosedRange<Int>) -> Self {
    Self(read: { $0.reader.integer($0.node, $0.name, in: range).flatMap { Value(exactly: $0) } }, write: { .number(Int64(clamping: $0)) })
  }
}

extension PortValue where Value: RawRepresentable<String> & CaseIterable {
  static var choice: Self { Self(read: { $0.reader.choice($0.node, $0.name, as: Value.self) }, write: { .text($0.rawValue) }) }
}

extension PortValue where Value == UInt16 {
  /// Permissions.
  static var mode: Self { Self(read: { $0.reader.mode($0.node, $0.name) }, write: { .text("0" + String($0, radix: 8)) }) }
}

extension PortValue where Value == PortTPID {
  static var tpid: Self {
    Self(
      read: { value in
        let tpid = value.node.text.flatMap { PortTPID(text: $0) }
        if tpid == nil {
          let choices = PortTPID.allCases.map(\.text).joinedAsChoice
          value.reader.report(value.node.position, "tpid must be \(choices), not \(value.node.shortDescription)")
        }
        return tpid
      }, write: { .text($0.text) })
  }
}

extension PortValue where Value == VNI {
  static var vni: Self { Self(read: { $0.reader.vni($0.node, $0.name) }, write: { .number(Int64($0.rawValue)) }) }
}

extension PortValue where Value == [UInt16: VNI] {
  /// An empty mapping is a value: it leaves out the profile's.
  static var vlans: Self {
    Self(
      read: { value in
        let reader = value.reader
        guard let section = ConfigurationSection(value.node, title: value.name, reader: reader) else { return [:] }
        var vlans: [UInt16: VNI] = [:]
        for entry in section.all {
          let vni = reader.vni(entry.value, "the VNI of VLAN \(entry.key)")
          guard let vlan = reader.vlan(entry) else { continue }
          reader.remember(entry.position, value.subject, [value.name, entry.key])
          reader.remember(entry.value.position, value.subject, [value.name, entry.key, "vni"])
          vlans[vlan] = vni
        }
        return vlans
      },
      write: { vlans in .map(Dictionary(uniqueKeysWithValues: vlans.map { ("\($0.key)", .number(Int64($0.value.rawValue))) })) })
  }
}

extension PortValue where Value == [UInt16: String] {
  /// Names of access control lists. An empty mapping is a value: it leaves out the profile's.
  static var vlanACLs: Self {
    Self(
      read: { value in
        let reader = value.reader
        guard let section = ConfigurationSection(value.node, title: value.name, reader: reader) else { return [:] }
        var lists: [UInt16: String] = [:]
        for entry in section.all {
          guard let vlan = reader.vlan(entry) else { continue }
          reader.remember(entry.position, value.subject, [value.name, entry.key])
          lists[vlan] = reader.text(entry.value, "the ACL of VLAN \(vlan)")
        }
        return lists
      },
      write: { lists in .map(Dictionary(uniqueKeysWithValues: lists.map { ("\($0.key)", .text($0.value)) })) })
  }
}

extension PortValue where Value == [MACAddress] {
  static var macs: Self {
    Self(
      read: { value in
        (value.reader.list(value.node, value.name) ?? []).compactMap { element in
          guard let mac = value.reader.macAddress(element, "a mac") else { return nil }
          value.reader.remember(element.position, value.subject, [value.name, "\(mac)"])
          return mac
        }
      }, write: { $0.isEmpty ? nil : .list($0.map { .text("\($0)") }) })
  }
}

extension PortValue where Value == [UInt16: [MACAddress]] {
  static var vlanMACs: Self {
    Self(
      read: { value in
        let reader = value.reader
        guard let section = ConfigurationSection(value.node, title: value.name, reader: reader) else { return [:] }
        var macs: [UInt16: [MACAddress]] = [:]
        for entry in section.all {
          guard let vlan = reader.vlan(entry) else { continue }
          reader.remember(entry.position, value.subject, [value.name, entry.key])
          macs[vlan] = (reader.list(entry.value, "the macs of VLAN \(vlan)") ?? []).compactMap { reader.macAddress($0, "a mac") }
        }
        return macs
      },
      write: { macs in
        let given = macs.compactMap { vlan, macs in PortValue<[MACAddress]>.macs.write(macs).map { ("\(vlan)", $0) } }
        return given.isEmpty ? nil : .map(Dictionary(uniqueKeysWithValues: given))
      })
  }
}
