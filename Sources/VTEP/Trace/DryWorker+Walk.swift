// DryWorker+Walk: the steps of both walks, one after the other, by the functions that all workers call for bursts without short cuts.
// Between them it notes what each has left in `StagedFrame`, in the batches, and in the tables that the next one will read.

import CDPDK
import Encap
import MACTable

extension DryWorker {
  /// Steps E2 to E7, or D2 to D7. Consumes the frame.
  func walk(_ mbuf: Mbuf, _ run: inout DryRun) {
    worker.beginBurst()
    worker.frames[0] = mbuf.raw
    worker.stage[0] = StagedFrame()
    guard run.isFromOverlay ? decapsulate(mbuf, &run) : bind(mbuf, &run), let bound = worker.frames[0] else { return flush() }
    noteBound(Mbuf(bound), &run)

    run.end = .checks
    if !run.isFromOverlay, port(run).pointee.features.contains(.isPoliced) {
      run.policy = worker.snapshot.pointee.policies[Int(run.port)]
      worker.policeBurst(1, portIndex: run.port)
      guard worker.frames[0] != nil else { return flush() }
    }

    run.end = .learn
    run.source = entry(worker.table.lookup(worker.stage[0].sourceKey, hash: worker.table.hash(worker.stage[0].sourceKey)))
    if worker.unsightedCount > 0 { worker.learnSources(portIndex: run.port, isFromOverlay: run.isFromOverlay) }
    guard let raw = worker.frames[0] else { return flush() }

    run.end = .act
    let verdict = lookUp(&run)
    run.verdict = verdict
    noteTargets(of: verdict, Mbuf(raw), &run)
    imitateLimits(of: worker.stage[0].destinationKey.domain)
    worker.act(on: verdict, Mbuf(raw), worker.stage, ingress: run.port)
    forwardRest(of: run)
    flush()
  }

  /// The other datagrams of a train, which have learned their sources with the first.
  private func forwardRest(of run: DryRun) {
    for position in 1..<max(run.stagedCount, 1) {
      guard let raw = worker.frames[position] else { continue }
      let verdict = worker.lookUp(worker.stage + position, in: worker.table, from: port(run), isFromOverlay: true)
      worker.act(on: verdict, Mbuf(raw), worker.stage + position, ingress: run.port)
    }
  }

  private func port(_ run: DryRun) -> UnsafePointer<PortEntry> { worker.snapshot.pointee.ports + Int(run.port) }

  private func flush() {
    if worker.batchCount != 0 { worker.flushBatches() } else if worker.controlCount != 0 { worker.flushControlFrames() }
  }

  /// Step E2, without the limits of the port.
  private func bind(_ mbuf: Mbuf, _ run: inout DryRun) -> Bool {
    worker.bindUncommon(mbuf, port: port(run), portIndex: run.port, to: 0, shape: 0, isTagged: false)
  }

  /// Steps D1 to D3.
  private func decapsulate(_ packet: Mbuf, _ run: inout DryRun) -> Bool {
    var mbuf = packet
    let entry = port(run)
    if entry.pointee.partner != .absent, !isForWalk(mbuf, mac: entry.pointee.mac) {
      switch worker.sort(mbuf, mac: entry.pointee.mac) {
      case .walk(let sorted):
        mbuf = sorted
        worker.frames[0] = sorted.raw
      case .kernel(let frame):
        worker.handToKernel(frame, portIndex: run.port)
        return false
      case .drop(let frame, let reason):
        worker.drop(frame, port: run.port, reason)
        return false
      }
    }
    // What the parser of step D2 says; the step itself decides.
    if mbuf.isContiguous {
      let outer = OuterPacket(parsing: mbuf.bytes, policy: worker.snapshot.pointee.decapPolicy)
      run.outer = outer
      if outer.outcome == .accepted { run.sender = worker.snapshot.pointee.vtep(at: outer.source) }
    }
    // Only a copy of a real packet has notes of a kernel: its checksum is known to be right or unfinished, or it is a train.
    if mbuf.hasKernelNotes {
      var received = BatchSize()
      worker.takeNoted(mbuf, portIndex: run.port, staged: &run.stagedCount, received: &received)
      return run.stagedCount > 0
    }
    return worker.decapsulate(mbuf, isTrusted: false, portIndex: run.port, to: 0)
  }

  /// As in `Worker.receiveFromNIC`: untagged frames to the NIC's own address are not sorted first.
  private func isForWalk(_ mbuf: Mbuf, mac: MACAddress) -> Bool {
    guard mbuf.byteCount > CutFrame.groupByteCount else { return false }
    let ethernet = EthernetHeader(unchecked: mbuf.bytes, at: 0)
    return ethernet.destination == mac && !ethernet.isTagged
  }

  private func noteBound(_ mbuf: Mbuf, _ run: inout DryRun) {
    let staged = worker.stage[0]
    let domain = staged.destinationKey.domain
    run.bound = DryRun.Bound(
      domain: domain, seenAt: staged.seenAt, source: staged.sourceKey, destination: staged.destinationKey, octets: Self.octets(of: mbuf),
      notedTag: mbuf.hasNotedTag ? mbuf.notedTag : nil, serial: worker.snapshot.pointee.domains[Int(domain)].serial)
  }

  static func octets(of mbuf: Mbuf) -> [UInt8] {
    var octets: [UInt8] = []
    var segment: OpaquePointer? = mbuf.raw
    while let raw = segment {
      octets += UnsafeRawBufferPointer(start: cdpdk_mbuf_data(raw), count: Int(cdpdk_mbuf_segment_length(raw)))
      segment = cdpdk_mbuf_next(raw)
    }
    return octets
  }

  /// Steps E4 and D5: the two halves of `Worker.lookUp`, so that entry and verdict are of one look.
  private func lookUp(_ run: inout DryRun) -> Verdict {
    let staged = worker.stage
    let found = worker.table.lookup(staged[0].destinationKey, hash: worker.table.hash(staged[0].destinationKey))
    run.destination = entry(found)
    if found.isHit { return worker.verdict(found.location, staged, from: port(run), isFromOverlay: run.isFromOverlay) }
    let verdict = worker.verdictOnUnknown(staged, from: port(run), isFromOverlay: run.isFromOverlay)
    switch verdict {
    case .flood(.domain), .flood(.localOnly(isKnown: false)), .awaited: break
    default: run.isPending = true
    }
    return verdict
  }

  /// What the verdict will be carried out with.
  private func noteTargets(of verdict: Verdict, _ mbuf: Mbuf, _ run: inout DryRun) {
    let snapshot = worker.snapshot
    let domain = snapshot.pointee.domains + Int(worker.stage[0].destinationKey.domain)
    let hash = InnerFlow(frame: mbuf.bytes).hash
    func targets(_ first: UInt32, _ count: UInt32) -> [DryRun.Target] {
      (Int(first)..<Int(first) + Int(count)).map { target(snapshot.pointee.floodTargets[$0], hash) }
    }
    switch verdict {
    case .vtep(let vtep): run.remotes = [target(vtep, hash)]
    case .flood(.domain): run.remotes = targets(domain.pointee.firstFlood, domain.pointee.floodCount)
    case .flood(.list(let list)):
      let entry = snapshot.pointee.vteps + Int(list)
      run.remotes = targets(entry.pointee.firstMember, entry.pointee.memberCount)
    case .flood(.localOnly), .local, .awaited, .drop: break
    }
    guard case .flood = verdict else { return }
    if let message = NeighborMessage(mbuf.bytes) {
      run.neighbor = worker.verdictOnNeighbor(
        message, domain: worker.stage[0].destinationKey.domain, from: worker.stage[0].seenAt, ingress: run.port)
      run.neighborTarget = message.target
    }
    run.locals = (0..<Int(domain.pointee.localCount)).map { index in
      let target = snapshot.pointee.localTargets[Int(domain.pointee.firstLocal) + index]
      let port = snapshot.pointee.ports + Int(target.port)
      return DryRun.Local(target: target, isUp: port.pointee.isUp, isIsolated: port.pointee.features.contains(.isIsolated))
    }
  }

  private func target(_ vtep: VTEPIndex, _ hash: UInt32) -> DryRun.Target {
    let snapshot = worker.snapshot
    let entry = snapshot.pointee.vteps + Int(vtep)
    let hops = snapshot.pointee.nextHops[Int(vtep)]
    let adjacency = hops.count > 0 ? hops.adjacency(of: hash) : hops.first
    let overhead = adjacency.pointee.header.byteCount - EthernetView.headerByteCount
    return DryRun.Target(
      vtep: vtep, address: entry.pointee.address, tunnelKey: entry.pointee.tunnelKey, hopCount: Int(hops.count),
      obstacle: entry.pointee.obstacle, port: adjacency.pointee.port, isResolved: adjacency.pointee.isResolved,
      mtu: Int(adjacency.pointee.maxInnerByteCount) + overhead, overhead: overhead)
  }
}
