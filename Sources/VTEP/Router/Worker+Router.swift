// Worker+Router: routing between VNIs. Frames to a router's MAC address come here from the dispatch of both walks (steps E6 and D6), by
// a static entry of the MAC table at `Limits.routerPort`; they leave as if they had come in with the other VNI, to local ports or to any
// VTEP: split horizon is the bridge's, not the router's. RFC 1812 section 5.2, RFC 8200. Parts: +RouterControl (what is for the router
// itself), +RouterNeighbors (next hops), +RouterErrors, +RouterFragments.

import CDPDK
import Encap
import MACTable

/// A packet on its way through a router.
struct RoutedPacket {
  var mbuf: Mbuf
  var header: RoutedHeader
  /// Where it came in; of our own answers, where they belong to.
  var interface: RouterInterface
  /// Domain, and VTEP if the frame came through a tunnel that is learned from.
  var seenAt: MACLocation
  var ingress: PortIndex
  /// The router's own, about which it sends no errors.
  var isOwn = false
}

extension Worker {
  /// Acts on a frame to a MAC address that is at no port that is up. Consumes the frame.
  @inline(never)
  mutating func undeliverable(_ mbuf: Mbuf, to target: LocalTarget, _ staged: UnsafePointer<StagedFrame>, ingress: PortIndex) {
    guard target.port == Limits.routerPort else {
      drop(mbuf, port: ingress, .portDown, dropContext(target))
      return
    }
    route(mbuf, staged.pointee.destinationKey, from: staged.pointee.seenAt, ingress: ingress)
  }

  /// Routes a frame, or answers it. Consumes it.
  ///
  /// - Parameter key: the router's MAC address, or the one from which this VTEP asks for neighbours, and the domain.
  @inline(never)
  mutating func route(_ frame: Mbuf, _ key: MACKey, from seenAt: MACLocation, ingress: PortIndex) {
    let context = DropContext(domain: key.domain)
    guard let interface = routerInterface(of: key), let mbuf = readable(frame) else {
      drop(frame, port: ingress, .routerProtocol, context)
      return
    }
    counters.routed[Int(interface.index)].addReceived(packets: 1, bytes: UInt64(truncatingIfNeeded: mbuf.byteCount))
    let etherType = EthernetHeader(unchecked: mbuf.bytes, at: 0).etherType
    if etherType == EtherType.arp {
      receiveARP(mbuf, domain: key.domain, from: seenAt, ingress: ingress)
      return
    }
    guard etherType == EtherType.ipv4 || etherType == EtherType.ipv6 else {
      drop(mbuf, port: ingress, .routerProtocol, context)
      return
    }
    guard let header = RoutedHeader(mbuf.bytes, byteCount: mbuf.byteCount) else {
      drop(mbuf, port: ingress, .routerHeader, context)
      return
    }
    forward(RoutedPacket(mbuf: mbuf, header: header, interface: interface, seenAt: seenAt, ingress: ingress))
  }

  /// The interface that a frame is for. What comes to the MAC address that asks for neighbours may be for any router of the domain, of
  /// which most have one.
  private mutating func routerInterface(of key: MACKey) -> RouterInterface? {
    let first = snapshot.pointee.domains[Int(key.domain)].router
    guard first != DomainEntry.noRouter else { return nil }
    let interfaces = snapshot.pointee.routing.interfaces
    var position = Int(first)
    while interfaces[position].domain == key.domain {
      if interfaces[position].mac == key.mac { return interfaces[position] }
      position &+= 1
    }
    return key.mac == snapshot.pointee.routing.requestMAC ? interfaces[Int(first)] : nil
  }

  /// The frame, or a copy, with bytes that may be changed, and its headers in one buffer. Nil: the frame is as it was.
  private mutating func readable(_ frame: Mbuf) -> Mbuf? {
    guard let mbuf = frame.ownsBytes ? frame : cdpdk_mbuf_copy(frame.raw, pool).map(Mbuf.init) else { return nil }
    if mbuf.raw != frame.raw { frame.free() }
    if !mbuf.isContiguous, mbuf.bytes.byteCount < min(mbuf.byteCount, Self.routedHeaderByteCount) { _ = cdpdk_mbuf_linearize(mbuf.raw) }
    return mbuf
  }

  /// What is looked at of a packet: the longest IPv4 header, or IPv6 with an ND message.
  private static var routedHeaderByteCount: Int { 128 }

  /// Finds the route of a packet. Consumes it.
  @inline(never)
  private mutating func forward(_ packet: RoutedPacket) {
    let header = packet.header
    let routing = snapshot.pointee.routing
    let isND = isNeighborDiscovery(packet)
    guard isND || !isMartian(header, packet.interface) else { return refuse(packet, .routerMartian, nil) }
    // Without ND there is no neighbour, as without ARP, which is no packet and does not come here.
    if packet.interface.acl != .absent, !isND, !permits(packet.interface.acl, .ingress, packet.mbuf) {
      return refuse(packet, .aclDeniedIngress, nil)
    }
    if routing.isOwn(header.destination, packet.interface) || isND { return receive(packet) }
    guard !header.hasMartianDestination else { return refuse(packet, .routerMartian, nil) }
    // Link-local addresses are not forwarded (RFC 4291 section 2.5.6).
    if header.isIPv6, header.source.isLinkLocal || header.destination.isLinkLocal {
      return refuse(packet, .routerMartian, header.destination.isLinkLocal ? nil : .beyondScope)
    }
    let route = routing.route(packet.interface.router, to: header.destination)
    switch route.kind {
    case .own: return receive(packet)
    case .reserved: return refuse(packet, .routerMartian, nil)
    case .none: return refuse(packet, .routerNoRoute, .noRoute)
    case .connected, .via: break
    }
    guard header.hopLimit > 1 else { return refuse(packet, .routerTTLExceeded, .timeExceeded) }
    // What the router sends by itself is not asked about.
    let egressACL = routing.interfaces[Int(route.interface)].acl
    if egressACL != .absent, !permits(egressACL, .egress, packet.mbuf) { return refuse(packet, .aclDeniedEgress, nil) }
    packet.mbuf.withMutableBytes { header.decrementHopLimit(in: &$0) }
    send(packet, by: route)
  }

  /// Whether no host can have sent the packet: by its source (RFC 1812 section 5.3.7), which may not be one of the router's own either or that
  /// of a whole network, or by a source route. The same router on another VTEP sends to hosts, and not by way of this one.
  private mutating func isMartian(_ header: RoutedHeader, _ interface: RouterInterface) -> Bool {
    let routing = snapshot.pointee.routing
    if header.hasMartianSource || header.isSourceRouted || routing.isOwn(header.source, interface) { return true }
    let back = routing.route(interface.router, to: header.source).kind
    return back == .own || back == .reserved
  }

  /// Sends a packet of the router's own by its routes. Consumes it.
  mutating func originate(_ packet: RoutedPacket) {
    let destination = packet.header.destination
    var route = snapshot.pointee.routing.route(packet.interface.router, to: destination)
    if destination.isLinkLocal, !destination.isIPv4 {
      route = RouteEntry(kind: .connected, interface: position(of: packet.interface), nextHop: destination)
    }
    guard route.kind == .connected || route.kind == .via else {
      drop(packet.mbuf, port: packet.ingress, .routerNoRoute, DropContext(domain: packet.interface.domain))
      return
    }
    send(packet, by: route)
  }

  private mutating func position(of interface: RouterInterface) -> UInt16 {
    let interfaces = snapshot.pointee.routing.interfaces
    var position = snapshot.pointee.domains[Int(interface.domain)].router
    while interfaces[Int(position)].domain == interface.domain, interfaces[Int(position)].index != interface.index { position &+= 1 }
    return position
  }

  /// Sends a packet to its next hop, once that is known.
  private mutating func send(_ packet: RoutedPacket, by route: RouteEntry) {
    let egress = snapshot.pointee.routing.interfaces[Int(route.interface)]
    let next = route.kind == .via ? route.nextHop : packet.header.destination
    let mac = neighbor(next, egress)
    if let recorder, !packet.isOwn {
      recorder.pointee.router = RouterNote(
        action: mac == nil ? .waits : .forwarded, interface: packet.interface.index, egress: egress.index, nextHop: next, mac: mac ?? .zero)
    }
    if let mac {
      send(packet, to: mac, by: egress)
    } else {
      wait(for: next, egress, packet)
    }
  }

  /// Sends a packet whose hop limit has been lowered to a neighbour. Consumes it.
  mutating func send(_ packet: RoutedPacket, to mac: MACAddress, by egress: RouterInterface) {
    let mbuf = packet.mbuf
    let key = MACKey(domain: egress.domain, mac: mac)
    let hash = table.hash(key)
    let found = table.lookup(key, hash: hash)
    let place = found.isHit ? found.location : pendingPlace(of: key, hash: hash)
    let room = largestFrame(to: place, mbuf)
    guard (mbuf.hasRequest ? mbuf.wireByteCount : mbuf.byteCount) <= room else {
      if !packet.header.isUnfragmentable || packet.isOwn && packet.header.isIPv6 {
        return sendFragments(packet, to: mac, at: place, by: egress, room: room)
      }
      return refuse(packet, .routerTooBig, .tooBig(mtu: room &- RoutedHeader.offset))
    }
    hand(packet, to: mac, at: place, by: egress)
  }

  /// Sends a packet that is not too large to its next hop, at the place that was looked up. Consumes it.
  mutating func hand(_ packet: RoutedPacket, to mac: MACAddress, at place: MACLocation, by egress: RouterInterface) {
    let mbuf = packet.mbuf
    mbuf.withMutableBytes { MACAddress.write(into: &$0, destination: mac, source: egress.mac) }
    counters.routed[Int(egress.index)].addSent(bytes: UInt64(truncatingIfNeeded: mbuf.byteCount))
    if place == StagedFrame.noLocation {
      flood(mbuf, .domain, domain: egress.domain, from: StagedFrame.noLocation, ingress: packet.ingress, isLimited: true)
    } else if place.isVTEP {
      sendToVTEP(mbuf, vtep: place.vtep, domain: egress.domain, ingress: packet.ingress)
    } else if place.port == Limits.routerPort {
      // Another router of the same VNI. The hop limit ends any loop.
      route(mbuf, MACKey(domain: egress.domain, mac: mac), from: StagedFrame.noLocation, ingress: packet.ingress)
    } else if isIsolated(packet, from: place, egress) {
      drop(mbuf, port: packet.ingress, .portIsolated, DropContext(domain: egress.domain))
    } else {
      deliver(mbuf, to: LocalTarget(port: place.port, vlan: place.vlan), ingress: packet.ingress)
    }
  }

  /// Isolated ports do not reach each other by way of a router in their own VNI either.
  private mutating func isIsolated(_ packet: RoutedPacket, from place: MACLocation, _ egress: RouterInterface) -> Bool {
    guard !packet.isOwn, packet.interface.domain == egress.domain else { return false }
    return snapshot.pointee.ports[Int(place.port)].features.contains(.isIsolated)
      && snapshot.pointee.ports[Int(packet.ingress)].features.contains(.isIsolated)
  }

  /// Octets of the largest frame that gets to a place. Of frames for many, each copy is on its own.
  private mutating func largestFrame(to place: MACLocation, _ mbuf: Mbuf) -> Int {
    guard place != StagedFrame.noLocation else { return .max }
    if place.isSingleVTEP {
      let hops = snapshot.pointee.nextHops[Int(place.vtep)]
      return hops.count > 0 ? Int(hops.adjacency(of: InnerFlow(frame: mbuf.bytes).hash).pointee.maxInnerByteCount) : .max
    }
    guard !place.isVTEP, place.port != Limits.routerPort else { return .max }
    let port = snapshot.pointee.ports + Int(place.port)
    return port.pointee.isUp ? Int(port.pointee.maxFrameByteCount) : .max
  }
}
