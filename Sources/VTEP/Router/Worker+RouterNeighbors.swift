// Worker+RouterNeighbors: the MAC addresses of a router's next hops: from the neighbour table, else by ARP (RFC 826) or ND (RFC 4861
// section 7.2) in the egress VNI, while packets wait. Known neighbours in use are asked again before the table forgets them.

import CDPDK
import Encap
import MACTable
import Synchronization

extension Worker {
  /// The MAC address of a next hop; nil: unknown.
  mutating func neighbor(_ address: IPAddress, _ egress: RouterInterface) -> MACAddress? {
    guard let found = neighbors?.find(egress.domain, address) else { return nil }
    if found.sources.isSubset(of: .learned) { verify(found, address, egress) }
    return found.mac
  }

  /// Seconds after which a neighbour that is in use is asked again.
  private static var freshSeconds: UInt32 { 30 }

  /// Asks a neighbour again that has not been heard of for a while: by itself, once a second at most.
  private mutating func verify(_ neighbor: InnerNeighbor, _ address: IPAddress, _ egress: RouterInterface) {
    guard let seen = neighbors?.lastSeen[Int(neighbor.node)].load(ordering: .relaxed),
      Int32(truncatingIfNeeded: nowSeconds &- seen) >= Int32(Self.freshSeconds)
    else { return }
    let slot = verified + Int(neighbor.node & UInt32(Self.verifiedCount - 1))
    guard slot.pointee != nowSeconds else { return }
    slot.pointee = nowSeconds
    request(address, egress, known: neighbor.mac, ingress: Limits.routerPort)
  }

  /// Slots for the seconds in which neighbours were asked again.
  static var verifiedCount: Int { 256 }

  /// Holds a packet until its next hop is known, and asks for that. Consumes it.
  @inline(never)
  mutating func wait(for address: IPAddress, _ egress: RouterInterface, _ packet: RoutedPacket) {
    var packet = packet
    guard let mbuf = spared(packet.mbuf, port: packet.ingress) else { return }
    packet.mbuf = mbuf
    var position = awaited.position(of: address, egress.domain)
    if position == nil {
      guard awaited.hasRoom(for: packet.ingress) else { return refuse(packet, .routerNeighborUnresolved, nil) }
      position = awaited.append(
        AwaitedNeighbor(
          address: address, domain: egress.domain, serial: serial(egress.domain), interface: egress.index, requests: 1,
          deadline: cdpdk_cycles() &+ cdpdk_cycles_per_second(), ingress: packet.ingress))
      countAwaited()
      request(address, egress, known: nil, ingress: packet.ingress)
    }
    if let position, awaited.add(packet, serial: serial(packet.interface.domain), at: position) { return }
    refuse(packet, .routerNeighborUnresolved, nil)
  }

  private mutating func countAwaited() { counters.activity.pointee.awaitedNextHops.set(UInt64(awaited.count)) }

  /// Asks for a neighbour: all stations of the VNI, or the one that had the address.
  private mutating func request(_ address: IPAddress, _ egress: RouterInterface, known: MACAddress?, ingress: PortIndex) {
    guard let mbuf = buffer(NeighborMessage.byteCount(isIPv6: !address.isIPv4)) else {
      counters.drop(port: ingress, .noBuffers).pointee.add(1)
      return
    }
    let source = snapshot.pointee.routing.requestMAC
    mbuf.withMutableBytes { NeighborMessage.writeQuestion(into: &$0, target: address, source: source, known: known) }
    dispatch(mbuf, egress, from: StagedFrame.noLocation, ingress: ingress)
  }

  // -- what neighbours say -----------------------------------------------------------------------------------------------

  /// Notes a neighbour's MAC address if the address is of a router's network, and sends what waits for it.
  mutating func note(_ claim: NeighborClaim, domain: DomainIndex, from seenAt: MACLocation) {
    guard concernsRouter(claim.address, domain) else { return }
    tell(claim, domain: domain, from: seenAt)
    if let waiting = awaited.position(of: claim.address, domain) { release(at: waiting, to: claim.mac) }
  }

  /// Whether an address may be a next hop of the domain's routers: of one of their networks or link-local, and none of their own. Never in a
  /// domain without a router.
  mutating func concernsRouter(_ address: IPAddress, _ domain: DomainIndex) -> Bool {
    let first = snapshot.pointee.domains[Int(domain)].router
    guard first != DomainEntry.noRouter else { return false }
    var position = Int(first)
    var isNear = false
    while snapshot.pointee.routing.interfaces[position].domain == domain {
      let interface = snapshot.pointee.routing.interfaces[position]
      // Whoever claims an address of the router changes nothing here.
      if snapshot.pointee.routing.isOwn(address, interface) { return false }
      isNear = isNear || snapshot.pointee.routing.isNear(address, interface)
      position &+= 1
    }
    return isNear || address.isLinkLocal
  }

  /// Sends the packets that wait for a neighbour, in order.
  private mutating func release(at position: Int, to mac: MACAddress) {
    var neighbor = awaited.remove(at: position)
    countAwaited()
    let egress = interface(neighbor.domain, neighbor.serial, index: neighbor.interface)
    while let waiting = awaited.next(of: &neighbor) {
      if let egress, let packet = current(waiting) {
        send(packet, to: mac, by: egress)
      } else {
        drop(waiting.packet.mbuf, port: waiting.packet.ingress, .heldTargetGone)
      }
    }
  }

  private mutating func serial(_ domain: DomainIndex) -> UInt32 { snapshot.pointee.domains[Int(domain)].serial }

  /// An interface as it is now; nil: it, or its VNI, is gone. Both numbers may belong to others meanwhile.
  private mutating func interface(_ domain: DomainIndex, _ serial: UInt32, index: UInt16) -> RouterInterface? {
    let entry = snapshot.pointee.domains + Int(domain)
    guard entry.pointee.isInUse, entry.pointee.serial == serial, entry.pointee.router != DomainEntry.noRouter else { return nil }
    var position = Int(entry.pointee.router)
    while snapshot.pointee.routing.interfaces[position].domain == domain {
      if snapshot.pointee.routing.interfaces[position].index == index { return snapshot.pointee.routing.interfaces[position] }
      position &+= 1
    }
    return nil
  }

  /// A packet that has waited, with its interface as it is now; nil: that is gone.
  private mutating func current(_ waiting: AwaitedNeighbors.Waiting) -> RoutedPacket? {
    var packet = waiting.packet
    guard let interface = interface(packet.interface.domain, waiting.serial, index: packet.interface.index) else { return nil }
    packet.interface = interface
    return packet
  }

  /// From time to time while packets wait: sends what can be sent now, asks again, and gives up.
  @inline(never)
  mutating func serveAwaited() {
    let now = cdpdk_cycles()
    var position = 0
    while position < awaited.count {
      let neighbor = awaited.neighbors + position
      guard let egress = interface(neighbor.pointee.domain, neighbor.pointee.serial, index: neighbor.pointee.interface) else {
        giveUp(at: position, .heldTargetGone, nil)
        continue
      }
      if let mac = neighbors?.find(neighbor.pointee.domain, neighbor.pointee.address)?.mac {
        release(at: position, to: mac)
      } else if now < neighbor.pointee.deadline {
        position &+= 1
      } else if neighbor.pointee.requests < AwaitedNeighbors.requests {
        neighbor.pointee.requests &+= 1
        neighbor.pointee.deadline = now &+ cdpdk_cycles_per_second()
        request(neighbor.pointee.address, egress, known: nil, ingress: neighbor.pointee.ingress)
        position &+= 1
      } else {
        giveUp(at: position, .routerNeighborUnresolved, .hostUnreachable)
      }
    }
  }

  private mutating func giveUp(at position: Int, _ reason: DropReason, _ error: RouterError?) {
    var neighbor = awaited.remove(at: position)
    countAwaited()
    while let waiting = awaited.next(of: &neighbor) {
      if let packet = current(waiting) {
        refuse(packet, reason, error)
      } else {
        drop(waiting.packet.mbuf, port: waiting.packet.ingress, .heldTargetGone)
      }
    }
  }
}
