// The keys of `port add` with their types, for tests.

import VTEPControl

extension AddPort {
  init(
    name: String, kind: String, device: String? = nil, socket: String? = nil, role: String? = nil, queues: Int? = nil,
    vni: UInt32? = nil, vlans: [Int: UInt32]? = nil, macs: [String]? = nil, mtu: Int? = nil
  ) {
    var settings: [String: SettingValue] = ["kind": .text(kind)]
    settings["device"] = device.map { .text($0) }
    settings["socket"] = socket.map { .text($0) }
    settings["role"] = role.map { .text($0) }
    settings["queues"] = queues.map { .number(Int64($0)) }
    settings["vni"] = vni.map { .number(Int64($0)) }
    settings["vlans"] = vlans.map { .map(Dictionary(uniqueKeysWithValues: $0.map { ("\($0.key)", .number(Int64($0.value))) })) }
    settings["macs"] = macs.map { .list($0.map { .text($0) }) }
    settings["mtu"] = mtu.map { .number(Int64($0)) }
    self.init(name: name, settings: settings)
  }
}
