// ControllerLayer+Verify: where the data plane differs from a controller's database, for `vtepctl verify`. A pure comparison of two layers.

import Encap
import VTEP

extension ControllerLayer {
  /// Every logical switch, binding, router, list and tunnel in which another layer differs.
  ///
  /// - Parameter actual: what the data plane has.
  func discrepancies(_ actual: ControllerLayer) -> [Discrepancy] {
    func compare<Key: Hashable, Value: Equatable>(
      _ part: KeyPath<ControllerLayer, [Key: Value]>, _ name: (Key, Value) -> String
    ) -> [Discrepancy] {
      Self.differences(self[keyPath: part], actual[keyPath: part], name)
    }
    func place(_ binding: Binding) -> String { binding.port + (binding.vlan == 0 ? " untagged" : " vlan \(binding.vlan)") }
    let found: [[Discrepancy]] = [
      compare(\.switches) { vni, settings in "logical switch \(settings.name) (VNI \(vni))" },
      compare(\.bindings) { binding, _ in "binding \(place(binding))" },
      compare(\.routers) { name, _ in "logical router \(name)" },
      compare(\.acls) { name, _ in "ACL \(name)" },
      compare(\.aclBindings) { binding, _ in "ACL of \(binding.vlan == 0 ? binding.port : place(binding))" },
      compare(\.bfd) { address, _ in "BFD with VTEP \(address)" },
      compare(\.arpSources) { mac, _ in "ARP source \(mac)" },
    ]
    return found.flatMap(\.self)
  }

  /// Names, in order, what is only in one of two, or differs.
  static func differences<Key: Hashable, Value: Equatable>(
    _ intended: [Key: Value], _ actual: [Key: Value], _ name: (Key, Value) -> String
  ) -> [Discrepancy] {
    var found: [Discrepancy] = []
    for (key, value) in intended {
      guard let other = actual[key] else {
        found.append(Discrepancy(.database, name(key, value), intended: "as in the database", actual: "the data plane does not have it"))
        continue
      }
      if other != value {
        found.append(Discrepancy(.database, name(key, value), intended: "as in the database", actual: "the data plane has something else"))
      }
    }
    for (key, value) in actual where intended[key] == nil {
      found.append(Discrepancy(.database, name(key, value), intended: "it is not in the database", actual: "the data plane has it"))
    }
    return found.sorted { $0.subject < $1.subject }
  }
}
