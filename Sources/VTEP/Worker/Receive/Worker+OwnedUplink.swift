// Worker+OwnedUplink: bursts from a NIC that DPDK drives for the underlay, and from the tap that stands for it in the kernel. What is VXLAN
// for us goes on with step D2; everything else goes unchanged to the tap, and what the kernel sends there goes to the NIC. Step D1;
// docs/decisions/0033-owned-uplinks.md.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// A burst from either of the two.
  @inline(never)
  mutating func receiveFromOwnedUplink(_ count: Int, _ port: UnsafePointer<PortEntry>, _ queue: UnsafePointer<ReceiveQueue>) {
    let portIndex = queue.pointee.port
    guard port.pointee.isUnderlay else {
      receiveFromKernel(count, nic: port.pointee.partner, portIndex: portIndex)
      return
    }
    receiveFromUnderlay(count, portIndex: portIndex)
    if count == Limits.burst {
      noteFullBurst(port, queue)
    } else {
      uplinkLoads[Int(portIndex)].fullBursts = 0
    }
  }

  // -- from the NIC -----------------------------------------------------------------------------------------------------

  /// Of the frames that are no everyday packets for us, untagged ones to our MAC address go to the walk, which hands back what is not VXLAN
  /// for us (`refuse`, `arrival`): so the packets that matter most are parsed once.
  ///
  /// - Returns: the packet, which may be in another buffer; nil: it is the kernel's, or was dropped.
  mutating func takePacketToUs(_ mbuf: Mbuf, _ port: UnsafePointer<PortEntry>, portIndex: PortIndex) -> Mbuf? {
    let mac = port.pointee.mac
    if mbuf.byteCount > CutFrame.groupByteCount {
      let ethernet = EthernetHeader(unchecked: mbuf.bytes, at: 0)
      if ethernet.destination == mac && !ethernet.isTagged { return mbuf }
    }
    switch sort(mbuf, mac: mac) {
    case .walk(let mbuf): return mbuf
    case .kernel(let mbuf): handToKernel(mbuf, portIndex: portIndex)
    case .drop(let mbuf, let reason): drop(mbuf, port: portIndex, reason)
    }
    return nil
  }

  /// Where a frame goes, which may be in another buffer by then.
  enum Way {
    case walk(Mbuf)
    case kernel(Mbuf)
    case drop(Mbuf, DropReason)
  }

  /// A frame that is tagged, or not addressed to our MAC address: to a group, or what a promiscuous NIC lets pass. As on a shared uplink,
  /// a priority tag is nothing, VXLAN to another host's MAC address is not for us, and a group's MAC address is for an IP group
  /// (RFC 1122 section 3.3.6).
  @inline(never)
  mutating func sort(_ packet: Mbuf, mac: MACAddress) -> Way {
    guard let mbuf = gatherPacket(packet) else { return .drop(packet, .noBuffers) }
    guard mbuf.byteCount > CutFrame.groupByteCount, let ethernet = EthernetView(mbuf.bytes), !ethernet.isTagged || ethernet.isPriorityTagged
    else { return .kernel(mbuf) }
    let destination = ethernet.destination
    var tag: UInt32 = 0
    if ethernet.isTagged {
      tag = UInt32(ethernet.etherType) &<< 16 | UInt32(ethernet.vlanTCI)
      // No more than the addresses may be left.
      guard removeTag(mbuf) else { return .kernel(mbuf) }
    }
    let outer = OuterPacket(parsing: mbuf.bytes, policy: snapshot.pointee.decapPolicy)
    guard outer.outcome != .notVXLAN, isOurs(outer.destination) else {
      guard tag != 0 else { return .kernel(mbuf) }
      // There is room where it was.
      return mbuf.insertingTag(tag, pool: pool, chains: true).map(Way.kernel) ?? .drop(mbuf, .noHeadroom)
    }
    if destination == mac { return .walk(mbuf) }
    guard destination.isMulticast else { return .drop(mbuf, .outerMACOtherHost) }
    return outer.destination.isMulticast ? .walk(mbuf) : .drop(mbuf, .outerMACGroup)
  }

  /// Whether a packet that the parser has not accepted is a broken VXLAN packet to us. Its fragments are: the first is counted, and the
  /// others, in which no port says whose they are, find no first one in the kernel.
  mutating func isOurFault(_ outer: OuterPacket) -> Bool {
    outer.outcome != .notVXLAN && isOurs(outer.destination)
  }

  // -- from the kernel --------------------------------------------------------------------------------------------------

  /// What the host sends: to the NIC. What the NIC does not do about checksums and large segments is done here.
  private mutating func receiveFromKernel(_ count: Int, nic: PortIndex, portIndex: PortIndex) {
    var byteCount: UInt64 = 0
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      byteCount &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      let kind = HostFrameClass(mbuf.bytes)
      if let reason = acceptRequest(mbuf) ?? refusal(of: kind, portIndex: portIndex) {
        drop(mbuf, port: portIndex, reason)
      } else if mbuf.hasRequest {
        if leave(mbuf, kind, toNIC: nic) { continue }
        finish(mbuf, for: .uplink(nic, kind), ingress: portIndex)
      } else {
        transmitWhole(mbuf, kind, nic: nic, ingress: portIndex)
      }
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(truncatingIfNeeded: count), bytes: byteCount)
  }

  /// Leaves a frame's request to the NIC, if that carries out such requests and no capture runs, which shows what goes over the wire.
  private mutating func leave(_ mbuf: Mbuf, _ kind: HostFrameClass, toNIC nic: PortIndex) -> Bool {
    let port = snapshot.pointee.ports + Int(nic)
    guard port.pointee.features.carryOut(mbuf, isInner: false), captures == nil, mbuf.isContiguous || port.pointee.sendsSegments,
      cdpdk_mbuf_prepare(mbuf.raw, port.pointee.device) != 0
    else { return false }
    transmit(mbuf, kind, port: nic)
    return true
  }

  /// Sends a complete frame to a NIC, in one buffer if the NIC sends no others.
  mutating func transmitWhole(_ mbuf: Mbuf, _ kind: HostFrameClass, nic: PortIndex, ingress: PortIndex) {
    if mbuf.isContiguous || snapshot.pointee.ports[Int(nic)].sendsSegments {
      transmit(mbuf, kind, port: nic)
    } else if let whole = gatherPacket(mbuf) {
      transmit(whole, kind, port: nic)
    } else {
      drop(mbuf, port: ingress, .noBuffers)
    }
  }
}

extension PortFeatures {
  /// Whether the NIC with these features carries out a frame's request. Only frames as in the self-test are left to it: without tags, IPv4 options
  /// and IPv6 extension headers. Before the driver looks at the latter, DPDK's `rte_ipv6_phdr_cksum` takes the first for TCP or UDP.
  ///
  /// - Parameter isInner: the frame will be inside VXLAN.
  func carryOut(_ mbuf: Mbuf, isInner: Bool) -> Bool {
    let request = mbuf.request
    if request.isTunnelled || request.linkByteCount != 14 || request.networkByteCount != (request.isIPv6 ? 40 : 20) { return false }
    guard request.segmentByteCount != 0 else {
      return contains(isInner ? .completesInner : request.isUDP ? .completesUDP : .completesTCP)
    }
    // Not all NICs know that CWR is said once (RFC 3168 section 6.1.2).
    return !request.isUDP && contains(isInner ? .cutsInner : .cutsTCP)
      && mbuf.start.load(fromByteOffset: request.transportOffset &+ 13, as: UInt8.self) & 0x80 == 0
  }
}
