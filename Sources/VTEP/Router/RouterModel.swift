// RouterModel: the routers as the reconciler keeps them for the snapshot, and how routes become ranges. Built off the workers.

import Encap
import MACTable

/// The routers of a forwarding model.
struct RouterModel {
  struct Interface {
    var domain: DomainIndex
    var index: UInt16
    var addresses: [RouterAddress]
    var acl = ACLIndex.absent
  }
  struct Router {
    var name = ""
    var mac: MACAddress
    /// Those whose VNI is there.
    var interfaces: [Interface]
    /// Prefix, next hop, and position of the interface that leads to it.
    var routes: [(prefix: IPPrefix, next: IPAddress, interface: Int)]
  }

  var routers: [Router] = []
  var requestMAC = MACAddress.zero

  /// The arrays of a snapshot.
  struct Arrays {
    var routers: [RouterEntry] = []
    var interfaces: [RouterInterface] = []
    var addresses: [RouterAddressEntry] = []
    var ranges: [RouteRange] = []
  }

  var arrays: Arrays {
    var arrays = Arrays()
    /// Router, position within it.
    var places: [(router: Int, position: Int)] = []
    for (number, router) in routers.enumerated() {
      for position in router.interfaces.indices { places.append((number, position)) }
    }
    places.sort { routers[$0.router].interfaces[$0.position].domain < routers[$1.router].interfaces[$1.position].domain }
    var positions: [[Int]] = routers.map { Array(repeating: 0, count: $0.interfaces.count) }
    for place in places {
      let interface = routers[place.router].interfaces[place.position]
      positions[place.router][place.position] = arrays.interfaces.count
      arrays.interfaces.append(
        RouterInterface(
          domain: interface.domain, router: UInt16(place.router), index: interface.index, acl: interface.acl,
          mac: routers[place.router].mac, firstAddress: UInt32(arrays.addresses.count), addressCount: UInt32(interface.addresses.count)))
      arrays.addresses += interface.addresses.map(RouterAddressEntry.init)
    }
    arrays.interfaces.append(RouterInterface())
    for (number, router) in routers.enumerated() {
      let ranges = RouteRange.ranges(of: router.prefixes { UInt16(positions[number][$0]) })
      arrays.routers.append(RouterEntry(firstRange: UInt32(arrays.ranges.count), rangeCount: UInt32(ranges.count)))
      arrays.ranges += ranges
    }
    return arrays
  }
}

extension RouterModel.Router {
  /// All prefixes with their routes. A more specific or a later one stands before others.
  ///
  /// - Parameter position: of an interface of the router in the snapshot.
  fileprivate func prefixes(_ position: (Int) -> UInt16) -> [(IPPrefix, RouteEntry)] {
    var prefixes = routes.map { ($0.prefix, RouteEntry(kind: .via, interface: position($0.interface), nextHop: $0.next)) }
    for (number, interface) in interfaces.enumerated() {
      for address in interface.addresses {
        prefixes.append((address.prefix, RouteEntry(kind: .connected, interface: position(number))))
        let reserved = address.reserved.map { ($0, RouteEntry(kind: .reserved, interface: position(number))) }
        for (host, entry) in reserved + [(address.address, RouteEntry(kind: .own, interface: position(number)))] {
          if let prefix = IPPrefix(address: host, length: host.isIPv4 ? 32 : 128) { prefixes.append((prefix, entry)) }
        }
      }
    }
    return prefixes
  }
}

extension RouteRange {
  /// Prefixes, which lie apart or within each other, as a sequence of ranges that do not: a look-up is then a binary search among numbers,
  /// for both address families. Of equal prefixes the last counts.
  static func ranges(of prefixes: [(IPPrefix, RouteEntry)]) -> [RouteRange] {
    // IPv4's addresses lie among IPv6's, whose routes are not for them.
    let wall = IPPrefix(address: IPAddress(ipv4: 0), length: 0).map { [($0, RouteEntry())] } ?? []
    // By beginning, wide before narrow.
    let sorted = (wall + prefixes).enumerated().sorted { left, right in
      let (a, b) = (left.element.0, right.element.0)
      return a.address != b.address ? a.address < b.address : a.width != b.width ? a.width < b.width : left.offset < right.offset
    }
    var ranges: [RouteRange] = []
    /// Prefixes that are not over yet, and the first address behind each; nil: there is none.
    var open: [(end: IPAddress?, route: RouteEntry)] = []
    func begin(_ start: IPAddress, _ route: RouteEntry) {
      if ranges.last?.start == start { ranges.removeLast() }
      if let last = ranges.last, last.route == route { return }
      if ranges.isEmpty && route == RouteEntry() { return }
      ranges.append(RouteRange(start: start, route: route))
    }
    func close(upTo address: IPAddress?) {
      while let last = open.last, let end = last.end, address.map({ end <= $0 }) ?? true {
        open.removeLast()
        begin(end, open.last?.route ?? RouteEntry())
      }
    }
    for (_, (prefix, route)) in sorted {
      close(upTo: prefix.address)
      open.append((prefix.end, route))
      begin(prefix.address, route)
    }
    while !open.isEmpty {
      close(upTo: nil)
      // What reaches to the last address of all.
      if let last = open.last, last.end == nil { open.removeLast() }
    }
    return ranges
  }
}

extension IPPrefix {
  /// Length in 128 bits.
  fileprivate var width: Int { Int(length) + (address.isIPv4 ? 96 : 0) }

  /// The first address behind it; nil: it ends with the last address.
  fileprivate var end: IPAddress? {
    if width == 0 { return nil }
    if width <= 64 {
      let sum = address.high.addingReportingOverflow(1 << UInt64(64 - width))
      return sum.overflow ? nil : IPAddress(high: sum.partialValue, low: 0)
    }
    let low = address.low.addingReportingOverflow(UInt64(1) << UInt64(128 - width))
    guard low.overflow else { return IPAddress(high: address.high, low: low.partialValue) }
    let sum = address.high.addingReportingOverflow(1)
    return sum.overflow ? nil : IPAddress(high: sum.partialValue, low: 0)
  }
}
