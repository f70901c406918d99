// EventNames: what the data plane's indexes stood for when an event happened. The ring has indexes only, and an index may be another
// port's or VTEP's by the time that somebody reads.

import Encap
import MACTable

/// The latest owners of each index.
struct EventNames: Sendable {
  private struct Owner<Name: Sendable>: Sendable {
    /// The first event that may mean this owner.
    var since: UInt64
    var name: Name
  }

  /// Owners of an index that are remembered.
  private static let depth = 8

  private var ports: [PortIndex: [Owner<String>]] = [:]
  private var vnis: [DomainIndex: [Owner<VNI>]] = [:]
  private var vteps: [VTEPIndex: [Owner<IPAddress>]] = [:]

  mutating func add(_ name: String, _ index: PortIndex, since: UInt64) { Self.add(name, to: &ports[index, default: []], since) }
  mutating func add(_ vni: VNI, _ index: DomainIndex, since: UInt64) { Self.add(vni, to: &vnis[index, default: []], since) }
  mutating func add(_ address: IPAddress, _ index: VTEPIndex, since: UInt64) { Self.add(address, to: &vteps[index, default: []], since) }

  private static func add<Name: Equatable>(_ name: Name, to owners: inout [Owner<Name>], _ since: UInt64) {
    if owners.last?.name == name { return }
    if owners.count == depth { owners.removeFirst() }
    owners.append(Owner(since: since, name: name))
  }

  func vni(_ index: DomainIndex, at sequence: UInt64) -> VNI? { Self.find(vnis[index], sequence) }
  func port(_ index: PortIndex, at sequence: UInt64) -> String? { Self.find(ports[index], sequence) }

  /// Nil: nobody remembers.
  func place(_ location: MACLocation, at sequence: UInt64) -> MACReport.Place? {
    guard location.isVTEP else { return port(location.port, at: sequence).map { .port(name: $0, vlan: location.vlan) } }
    // The members of a list may have changed since.
    if location.isList { return .vteps([]) }
    return Self.find(vteps[location.vtep], sequence).map { .vtep($0) }
  }

  /// Whether an index may have stood for a VNI.
  func mayBe(_ index: DomainIndex, _ vni: VNI) -> Bool { vnis[index]?.contains { $0.name == vni } == true }

  private static func find<Name>(_ owners: [Owner<Name>]?, _ sequence: UInt64) -> Name? {
    owners?.last { $0.since <= sequence }?.name
  }
}
