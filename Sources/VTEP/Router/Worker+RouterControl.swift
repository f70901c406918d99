// Worker+RouterControl: what is for a router itself: ARP and ND for its addresses, answers of its neighbours, and pings. Every VTEP that has
// the router answers what reaches it (docs/decisions/0044).

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Looks at a frame that is about to be flooded in a domain with a router: answers a request for an address of the router, which goes no
  /// further, and notes what others say of their own addresses.
  ///
  /// - Returns: true when it has consumed the frame.
  @inline(never)
  mutating func takeForRouter(_ mbuf: Mbuf, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex) -> Bool {
    guard let message = NeighborMessage(mbuf.bytes) else { return false }
    let claim = message.told
    if let asker = message.asker, let interface = owner(of: message.target, domain) {
      answer(message, interface, from: seenAt, ingress: ingress)
      mbuf.free()
      // The asker is about to be answered in return.
      if !message.sender.isUnspecified {
        note(claim ?? NeighborClaim(address: message.sender, mac: asker), domain: domain, from: seenAt)
      }
      return true
    }
    if let claim { note(claim, domain: domain, from: seenAt) }
    return false
  }

  /// The interface that has an address.
  private mutating func owner(of address: IPAddress, _ domain: DomainIndex) -> RouterInterface? {
    var position = Int(snapshot.pointee.domains[Int(domain)].router)
    while snapshot.pointee.routing.interfaces[position].domain == domain {
      let interface = snapshot.pointee.routing.interfaces[position]
      if snapshot.pointee.routing.isOwn(address, interface) { return interface }
      position &+= 1
    }
    return nil
  }

  /// Sends our MAC address to whoever asks for it.
  private mutating func answer(_ request: NeighborMessage, _ interface: RouterInterface, from seenAt: MACLocation, ingress: PortIndex) {
    guard let mbuf = buffer(request.answerByteCount) else {
      counters.drop(port: ingress, .noBuffers).pointee.add(1)
      return
    }
    // The address of this VTEP is asked for only by neighbours that this VTEP has asked.
    let isOfVTEP = !request.target.isIPv4 && request.target == snapshot.pointee.routing.requestMAC.linkLocalAddress
    let mac = isOfVTEP ? snapshot.pointee.routing.requestMAC : interface.mac
    mbuf.withMutableBytes { request.writeAnswer(into: &$0, fromRouter: mac) }
    note(.answered, interface)
    dispatch(mbuf, interface, from: seenAt, ingress: ingress)
  }

  /// An ARP frame to a router's MAC address: a request by one that knows us already, or an answer. Consumes it.
  mutating func receiveARP(_ mbuf: Mbuf, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex) {
    if !takeForRouter(mbuf, domain: domain, from: seenAt, ingress: ingress) { mbuf.free() }
  }

  /// Whether a packet is ND of this link, which is neither forwarded nor has an address that could be.
  mutating func isNeighborDiscovery(_ packet: RoutedPacket) -> Bool {
    packet.header.isIPv6 && packet.header.hopLimit == 255 && RouterInquiry(packet.mbuf.bytes, packet.header) == .neighborDiscovery
  }

  /// A packet to an address of the router. Consumes it.
  mutating func receive(_ packet: RoutedPacket) {
    guard !packet.header.isFragment else { return reassemble(packet) }
    switch RouterInquiry(packet.mbuf.bytes, packet.header) {
    case .echoRequest: answerEcho(packet)
    case .neighborDiscovery where packet.header.hopLimit == 255:
      if !takeForRouter(packet.mbuf, domain: packet.interface.domain, from: packet.seenAt, ingress: packet.ingress) { packet.mbuf.free() }
    case .port: refuse(packet, .routerAddress, .portUnreachable)
    case .otherProtocol: refuse(packet, .routerAddress, .protocolUnreachable)
    case .neighborDiscovery, .nothing: refuse(packet, .routerAddress, nil)
    }
  }

  /// The request itself becomes the answer, which takes the route to the asker.
  private mutating func answerEcho(_ packet: RoutedPacket) {
    note(.answered, packet.interface)
    var answer = packet
    answer.isOwn = true
    answer.mbuf.withMutableBytes { RouterInquiry.answerEcho(&$0, packet.header) }
    swap(&answer.header.source, &answer.header.destination)
    originate(answer)
  }

  /// A new frame of this size; nil: there is no buffer.
  mutating func buffer(_ byteCount: Int) -> Mbuf? {
    guard let raw = cdpdk_mbuf_alloc(pool) else { return nil }
    guard cdpdk_mbuf_append(raw, UInt16(truncatingIfNeeded: byteCount)) != nil else {
      cdpdk_mbuf_free(raw)
      return nil
    }
    return Mbuf(raw)
  }

  /// Sends a frame of our own to its destination in an interface's domain: where that is, or back to where the one came from that it
  /// answers. Consumes it.
  ///
  /// - Parameter seenAt: `noLocation`: it answers none, or nobody knows.
  mutating func dispatch(_ mbuf: Mbuf, _ interface: RouterInterface, from seenAt: MACLocation, ingress: PortIndex) {
    counters.routed[Int(interface.index)].addSent(bytes: UInt64(truncatingIfNeeded: mbuf.byteCount))
    let key = MACKey(domain: interface.domain, mac: MACAddress(loading: mbuf.bytes, at: 0))
    let hash = table.hash(key)
    let found = key.mac.isMulticast ? nil : table.lookup(key, hash: hash)
    var place = seenAt
    if let found, found.isHit {
      place = found.location
    } else if seenAt == StagedFrame.noLocation || key.mac.isMulticast {
      place = pendingPlace(of: key, hash: hash)
    }
    if place == StagedFrame.noLocation || place.isVTEP && place.isList {
      flood(mbuf, .domain, domain: interface.domain, from: StagedFrame.noLocation, ingress: ingress, isLimited: false)
    } else if place.isVTEP {
      sendToVTEP(mbuf, vtep: place.vtep, domain: interface.domain, ingress: ingress)
    } else {
      deliver(mbuf, to: LocalTarget(port: place.port, vlan: place.vlan), ingress: ingress)
    }
  }
}
