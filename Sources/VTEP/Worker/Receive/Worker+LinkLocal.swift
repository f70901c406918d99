// Worker+LinkLocal: link-local control frames, BPDUs and loop probes, in steps E2 and D3; and the frames that the
// control side has for the workers to send. All of it is rare and out of line: an everyday frame pays for one comparison
// of its destination. Whatever goes to the slow path is bounded by a budget and a ring.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Most items that a worker passes to the slow path per port in a twentieth of a second.
  static let slowPathBudget: UInt16 = 16

  // -- from a port -------------------------------------------------------------------------------------------------------

  /// Checks a frame to an address that may be a control address.
  ///
  /// - Returns: true when the frame was consumed; false when it continues, because it is ordinary or tunnelled.
  @inline(never)
  mutating func takeControl(_ mbuf: Mbuf, port: UnsafePointer<PortEntry>, portIndex: PortIndex) -> Bool {
    let destination = MACAddress(loading: mbuf.bytes, at: 0)
    let features = port.pointee.features
    let isGuarded = features.contains(.guardsBPDU) && ControlFrame.isBPDU(mbuf.bytes)
    guard isGuarded || destination.isLinkLocalControl || destination == LoopProbe.destination else { return false }
    // Frames from a shut port are ignored.
    if snapshot.pointee.policies[Int(portIndex)].isDisabled {
      drop(mbuf, port: portIndex, .portDisabled)
      return true
    }
    if isGuarded {
      reportBPDU(portIndex)
      drop(mbuf, port: portIndex, .bpduGuard)
      return true
    }
    if destination == LoopProbe.destination {
      guard let probe = ownProbe(mbuf, at: 0) else { return false }
      var item = SlowPathItem()
      item.kind = .returnedProbe
      item.port = portIndex
      item.vlan = EthernetView(mbuf.bytes)?.vlanID ?? 0
      item.probe = probe
      sendToSlowPath(item, budget: portIndex)
      drop(mbuf, port: portIndex, .loopProbe)
      return true
    }
    if destination.isMACControl {
      drop(mbuf, port: portIndex, .linkLocalControl)
    } else if features.contains(.puntsControl) {
      punt(mbuf, portIndex: portIndex)
    } else if features.contains(.tunnelsControl) {
      return false
    } else {
      drop(mbuf, port: portIndex, .linkLocalControl)
    }
    return true
  }

  /// Reports a BPDU on a guarded port, which is then shut.
  private mutating func reportBPDU(_ portIndex: PortIndex) {
    var item = SlowPathItem()
    item.kind = .bpdu
    item.port = portIndex
    sendToSlowPath(item, budget: portIndex)
  }

  private mutating func punt(_ mbuf: Mbuf, portIndex: PortIndex) {
    guard mbuf.isContiguous, spendBudget(portIndex) else {
      drop(mbuf, port: portIndex, .puntRateLimit)
      return
    }
    guard let mbuf = spared(mbuf, port: portIndex) else { return }
    var item = SlowPathItem()
    item.port = portIndex
    item.mbuf = mbuf.raw
    guard punts.send(item) else {
      drop(mbuf, port: portIndex, .puntQueueFull)
      return
    }
    cdpdk_event_signal(shared.pointee.slowPathEvent)
  }

  // -- from the overlay --------------------------------------------------------------------------------------------------

  /// The same for the frame inside a packet, at `offset`. Control frames are accepted only if a port of the VNI tunnels them.
  @inline(never)
  mutating func takeInnerControl(
    _ mbuf: Mbuf, at offset: Int, domain: UnsafePointer<DomainEntry>, sender: IPAddress, portIndex: PortIndex
  ) -> Bool {
    let destination = MACAddress(loading: mbuf.bytes, at: offset)
    if destination == LoopProbe.destination {
      guard let probe = ownProbe(mbuf, at: offset) else { return false }
      var item = SlowPathItem()
      item.kind = .returnedProbe
      item.vni = domain.pointee.vni
      item.vtep = sender
      item.probe = probe
      sendToSlowPath(item, budget: portIndex)
      dropInner(mbuf, at: offset, port: portIndex, .loopProbe, domain: domain, sender: sender)
      return true
    }
    guard destination.isLinkLocalControl else { return false }
    if domain.pointee.tunnelsControl && !destination.isMACControl { return false }
    dropInner(mbuf, at: offset, port: portIndex, .innerLinkLocalControl, domain: domain, sender: sender)
    return true
  }

  /// Drops the frame inside a packet, of which what is in front of it is of no interest.
  private mutating func dropInner(
    _ mbuf: Mbuf, at offset: Int, port: PortIndex, _ reason: DropReason, domain: UnsafePointer<DomainEntry>, sender: IPAddress
  ) {
    _ = mbuf.removeFront(offset)
    let context = DropContext(domain: DomainIndex(domain - snapshot.pointee.domains), vtep: snapshot.pointee.vtep(at: sender))
    drop(mbuf, port: port, reason, context)
  }

  /// The probe in a frame, if this daemon sent it. Other daemons' probes are ordinary multicast, so that they find their way
  /// back to their senders.
  private mutating func ownProbe(_ mbuf: Mbuf, at offset: Int) -> LoopProbe? {
    guard let probe = LoopProbe(parsing: mbuf.bytes, at: offset), probe.daemon == shared.pointee.daemonID else { return nil }
    return probe
  }

  // -- to and from the slow path -----------------------------------------------------------------------------------------

  /// An event that is not reported now will be reported with the next such frame.
  private mutating func sendToSlowPath(_ item: SlowPathItem, budget portIndex: PortIndex) {
    guard spendBudget(portIndex), punts.send(item) else { return }
    cdpdk_event_signal(shared.pointee.slowPathEvent)
  }

  private mutating func spendBudget(_ portIndex: PortIndex) -> Bool {
    let budget = slowPathBudgets + Int(portIndex)
    guard budget.pointee > 0 else { return false }
    budget.pointee &-= 1
    return true
  }

  /// Called twenty times a second.
  @inline(never)
  mutating func refillBudgets() {
    budgetsAreDue = false
    for index in 0..<Limits.ports { slowPathBudgets[index] = Self.slowPathBudget }
    refillHostBudgets()
  }

  /// Called from time to time, and when there are some: sends the control side's frames.
  @inline(never)
  mutating func sendInjections() {
    guard let injections else { return }
    var item = SlowPathItem()
    for _ in 0..<SlowPathRing.capacity {
      guard injections.receive(&item), let raw = item.mbuf else { return }
      let mbuf = Mbuf(raw)
      guard snapshot.pointee.ports[Int(item.port)].isUp else {
        drop(mbuf, port: item.port, .portDown)
        continue
      }
      // For the binding's counters.
      if let tag = EthernetView(mbuf.bytes)?.vlanTCI, tag & 0xfff != 0 {
        mbuf.notedTag = tag
        expectTag(on: item.port)
      }
      transmit(mbuf, byteCount: mbuf.byteCount, port: item.port)
    }
  }
}
