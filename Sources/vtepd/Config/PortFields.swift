// PortFields: how each key of VTEPControl's PortKeys gets from the configuration file into PortSettings and out again. `name` and `kind` are
// not among them: without them there is no port to put anything into.

import Encap
import VTEP
import VTEPControl

/// A key of a port, and where its value is stored.
struct PortField: Sendable {
  let key: PortKey
  /// Reads a value; reports a wrong one and stores nothing then.
  let read: @Sendable (ConfigurationReader.Value, inout PortSettings) -> Void
  /// The port's own value; nil: it has none.
  let own: @Sendable (PortSettings) -> SettingValue?
  /// The value in force, whoever sets it.
  let effective: @Sendable (PortSettings) -> SettingValue?
}

extension PortField {
  static let all: [PortField] = [
    attachment("device", \.device, .text),
    attachment("socket", \.socket, .text),
    attachment("role", \.role, .choice),
    attachment("queues", \.queues, .number(PortAttachment.queueRange)),
    attachment("memif-id", \.memifID, .number(0...Int(UInt32.max))),
    attachment("devargs", \.devargs, .text),
    attachment("socket-owner", \.socketOwner, .text),
    attachment("socket-group", \.socketGroup, .text),
    attachment("socket-mode", \.socketMode, .mode),
    port("profile", \.profile, .text),
    option("vni", \.vni, .vni),
    option("vlans", \.vlans, .vlans),
    option("tpid", \.tpid, .tpid),
    option("acl", \.acl, .text),
    option("vlan-acls", \.vlanACLs, .vlanACLs),
    option("isolated", \.isIsolated, .flag),
    option("mtu", \.mtu, .number(PortOptions.mtuRange)),
    option("offloads", \.offloads, .choice),
    option("enabled", \.isEnabled, .flag),
    option("anti-spoofing", \.antiSpoofing, .flag),
    option("announce", \.isAnnounced, .flag),
    option("l2-protocols", \.linkProtocols, .choice),
    option("bpdu-guard", \.hasBPDUGuard, .flag),
    option("loop-probe", \.probesLoops, .flag),
    option("mac-limit", \.macLimit, .number(0...PortPolicy.maximumMACLimit)),
    option("rate-limit.ingress.bits", \.ingressBits, .number(0...PortPolicy.maximumBits)),
    option("rate-limit.ingress.packets", \.ingressPackets, .number(0...PortPolicy.maximumPackets)),
    option("rate-limit.egress.bits", \.egressBits, .number(0...PortPolicy.maximumBits)),
    option("rate-limit.egress.packets", \.egressPackets, .number(0...PortPolicy.maximumPackets)),
    option("storm-control.broadcast", \.stormBroadcast, .number(0...StormLimits.maximum)),
    option("storm-control.unknown-unicast", \.stormUnknownUnicast, .number(0...StormLimits.maximum)),
    option("storm-control.unknown-multicast", \.stormUnknownMulticast, .number(0...StormLimits.maximum)),
    port("macs", \.macs, .macs),
    port("vlan-macs", \.vlanMACs, .vlanMACs),
  ]

  static let attachments = all.filter { $0.key.scope == .attachment }
  static let options = all.filter { $0.key.scope == .option }

  private static func key(_ name: String) -> PortKey {
    guard let key = PortKey.all.first(where: { $0.name == name }) else { preconditionFailure("PortKeys has no row for \(name)") }
    return key
  }

  // -- A value that is always there --

  private static func attachment<Value>(
    _ name: String, _ path: WritableKeyPath<PortAttachment, Value> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    PortField(
      key: key(name), read: { value, settings in form.read(value).map { settings.attachment[keyPath: path] = $0 } },
      own: { form.write($0.attachment[keyPath: path]) }, effective: { form.write($0.attachment[keyPath: path]) })
  }

  private static func port<Value>(
    _ name: String, _ path: WritableKeyPath<PortSettings, Value> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    PortField(
      key: key(name), read: { value, settings in form.read(value).map { settings[keyPath: path] = $0 } },
      own: { form.write($0[keyPath: path]) }, effective: { form.write($0[keyPath: path]) })
  }

  // -- A value that may be missing --

  private static func attachment<Value>(
    _ name: String, _ path: WritableKeyPath<PortAttachment, Value?> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    attachment(name, path, form.optional)
  }

  private static func port<Value>(
    _ name: String, _ path: WritableKeyPath<PortSettings, Value?> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    port(name, path, form.optional)
  }

  private static func option<Value>(
    _ name: String, _ path: WritableKeyPath<PortOptions, Value?> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    PortField(
      key: key(name), read: { $1.options[keyPath: path] = form.read($0) },
      own: { $0.options[keyPath: path].flatMap(form.write) }, effective: { $0[dynamicMember: path].flatMap(form.write) })
  }

  // -- An option with a default --

  private static func option<Value>(
    _ name: String, _ path: WritableKeyPath<PortOptions, PortOption<Value>> & Sendable, _ form: PortValue<Value>
  ) -> PortField {
    PortField(
      key: key(name), read: { $1.options[keyPath: path].own = form.read($0) },
      own: { $0.options[keyPath: path].own.flatMap(form.write) }, effective: { form.write($0[dynamicMember: path]) })
  }
}

extension [PortField] {
  /// The keys at a depth, in order, each with the fields that it leads to.
  func byKey(at depth: Int) -> [(name: String, fields: [PortField])] {
    reduce(into: []) { found, field in
      let name = field.key.path[depth]
      if found.last?.name == name {
        found[found.count - 1].fields.append(field)
      } else {
        found.append((name, [field]))
      }
    }
  }
}
