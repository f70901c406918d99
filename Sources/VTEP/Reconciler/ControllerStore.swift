// ControllerStore: what the reconciler keeps of a controller's remote addresses and tunnels. Addresses are kept apart from
// `DesiredState`: a change of one must cost one, however many there are.

import Encap
import MACTable

/// A change of remote unicast addresses.
public struct ControllerEdit: Sendable {
  public struct Address: Hashable, Sendable {
    public var vni: VNI
    public var mac: MACAddress
    /// Nil: the address is gone.
    public var destination: TunnelDestination?
    /// Its IP addresses, as far as the controller knows; ascending.
    public var addresses: [IPAddress]

    public init(vni: VNI, mac: MACAddress, destination: TunnelDestination?, addresses: [IPAddress] = []) {
      self.vni = vni
      self.mac = mac
      self.destination = destination
      self.addresses = addresses
    }

    /// Without its IP addresses.
    var placed: Address { Address(vni: vni, mac: mac, destination: destination) }
  }

  /// All logical switches and bindings; nil: as they are. A switch that is gone takes its addresses along.
  public var layer: ControllerLayer?
  public var addresses: [Address]
  /// VNIs of which `addresses` has all: others are gone.
  public var complete: Set<VNI>

  public init(layer: ControllerLayer? = nil, addresses: [Address] = [], complete: Set<VNI> = []) {
    self.layer = layer
    self.addresses = addresses
    self.complete = complete
  }
}

/// Everything that a controller has configured: shares its memory with the reconciler, which need not copy it.
public struct ControllerState: Sendable {
  public let layer: ControllerLayer
  let destinations: [VNI: [MACAddress: TunnelDestination]]
  let stations: [VNI: [MACAddress: [IPAddress]]]

  /// All remote addresses of these VNIs.
  public func addresses(of vnis: some Sequence<VNI>) -> [ControllerEdit.Address] {
    vnis.flatMap { vni in
      let known = stations[vni] ?? [:]
      return (destinations[vni] ?? [:]).map {
        ControllerEdit.Address(vni: vni, mac: $0.key, destination: $0.value, addresses: known[$0.key] ?? [])
      }
    }
  }
}

/// What cannot be as the controller wants it.
public struct ControllerReport: Equatable, Sendable {
  public var conflicts: [ControllerConflict] = []
  /// Destinations of remote addresses that no packet can go to, and why; and the VNIs that have such addresses.
  public var uselessDestinations: [String: Set<VNI>] = [:]
  /// Remote addresses that the MAC table has no room for.
  public var addressesWithoutRoom = 0
  /// Destinations that the table of VTEPs has no room for.
  public var destinationsWithoutRoom = 0
  /// Remote addresses known from the controller.
  public var addresses = 0
  /// VTEPs that frames go to for the controller.
  public var destinations: Set<IPAddress> = []
  /// VTEPs that the controller names, but ourselves.
  public var ipv4Destinations = 0
  public var ipv6Destinations = 0
}

struct ControllerStore {
  /// A multicast address with destinations of its own.
  struct Group: Hashable {
    var vni: VNI
    var mac: MACAddress
  }

  /// An IP address of a VNI.
  struct Neighbor: Hashable {
    var vni: VNI
    var address: IPAddress
  }

  /// The IP addresses of remote stations, and the stations of each IP address.
  private(set) var addressesOfStations: [VNI: [MACAddress: [IPAddress]]] = [:]
  private var stationsOfAddresses: [VNI: [IPAddress: Set<MACAddress>]] = [:]
  /// Remote addresses by VNI, for every VNI of the layer.
  var addresses: [VNI: [MACAddress: TunnelDestination]] = [:]
  /// How many of `addresses` are behind each destination.
  private(set) var uses: [TunnelDestination: Int] = [:]
  private var hasUnused = false
  /// Indexes for destinations with a tunnel key.
  var tunnels: [TunnelDestination: VTEPIndex] = [:]
  /// Indexes that stand for lists of VTEPs.
  var lists: [Group: VTEPIndex] = [:]
  /// Entries of groups that the table has.
  var installedGroups: [MACKey: MACLocation] = [:]
  var conflicts: [ControllerConflict] = []
  /// Addresses that found no room; tried again.
  var waiting: Set<ControllerEdit.Address> = []
  /// Destinations that found no index.
  var withoutIndex: Set<TunnelDestination> = []
  /// A layer that could not be applied; tried again.
  var waitingLayer: ControllerLayer?

  /// Enters one address, or removes it.
  ///
  /// - Returns: whether it is news.
  mutating func enter(_ address: ControllerEdit.Address) -> Bool {
    let old =
      if let destination = address.destination {
        addresses[address.vni, default: [:]].updateValue(destination, forKey: address.mac)
      } else {
        addresses[address.vni]?.removeValue(forKey: address.mac)
      }
    guard old != address.destination else { return false }
    if let old { release(old) }
    if let destination = address.destination { uses[destination, default: 0] += 1 }
    return true
  }

  /// Enters the IP addresses of one station.
  ///
  /// - Returns: those whose stations have changed.
  mutating func enterNeighbors(_ address: ControllerEdit.Address) -> Set<Neighbor> {
    let (vni, mac) = (address.vni, address.mac)
    let old = addressesOfStations[vni]?[mac] ?? []
    let new = address.destination == nil ? [] : address.addresses
    guard old != new else { return [] }
    addressesOfStations[vni, default: [:]][mac] = new.isEmpty ? nil : new
    let changed = Set(old).symmetricDifference(new)
    for ip in changed {
      var stations = stationsOfAddresses[vni]?[ip] ?? []
      if new.contains(ip) { stations.insert(mac) } else { stations.remove(mac) }
      stationsOfAddresses[vni, default: [:]][ip] = stations.isEmpty ? nil : stations
    }
    return Set(changed.map { Neighbor(vni: vni, address: $0) })
  }

  /// The stations that have an IP address, as the controller says.
  func owners(of neighbor: Neighbor) -> Set<MACAddress> { stationsOfAddresses[neighbor.vni]?[neighbor.address] ?? [] }

  func neighbors(of vni: VNI) -> [Neighbor] {
    (stationsOfAddresses[vni] ?? [:]).keys.map { Neighbor(vni: vni, address: $0) }
  }

  /// Removals of the addresses of these VNIs that a complete list of them does not have.
  func missing(in all: [ControllerEdit.Address], of vnis: Set<VNI>) -> [ControllerEdit.Address] {
    var named: [VNI: Set<MACAddress>] = [:]
    for address in all where vnis.contains(address.vni) { named[address.vni, default: []].insert(address.mac) }
    return vnis.flatMap { vni in
      (addresses[vni] ?? [:]).keys.filter { named[vni]?.contains($0) != true }
        .map { ControllerEdit.Address(vni: vni, mac: $0, destination: nil) }
    }
  }

  /// Forgets the addresses of VNIs that a layer does not have.
  mutating func keepVNIs(of layer: ControllerLayer) {
    for (vni, gone) in addresses where layer.switches[vni] == nil {
      addresses[vni] = nil
      addressesOfStations[vni] = nil
      stationsOfAddresses[vni] = nil
      for destination in gone.values { release(destination) }
    }
    waiting = waiting.filter { layer.switches[$0.vni] != nil }
  }

  /// Whether a destination has lost its last address since the last call.
  mutating func takeUnused() -> Bool {
    defer { hasUnused = false }
    return hasUnused
  }

  private mutating func release(_ destination: TunnelDestination) {
    guard let count = uses[destination] else { return }
    if count == 1 { hasUnused = true }
    uses[destination] = count > 1 ? count - 1 : nil
  }
}
