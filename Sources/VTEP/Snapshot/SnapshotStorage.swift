// SnapshotStorage: converts the reconciler's model of the forwarding state to the plain arrays of a ForwardingSnapshot, and
// owns their memory.

import Encap
import MACTable

/// The memory of one snapshot.
final class SnapshotStorage {
  let snapshot: UnsafePointer<ForwardingSnapshot>
  private let vlanMaps: [VLANMap?]
  private let aclMaps: [ACLMap?]
  private let acls: [CompiledACL?]
  private let blocks: [UnsafeMutableRawPointer]

  init(_ model: ForwardingModel, generation: UInt64) {
    var blocks: [UnsafeMutableRawPointer] = []
    // At a cache line's begin. Not by aligned allocation: freed and made anew with every change, such blocks leave gaps that glibc does not
    // fill (35 KB each time).
    func store<Element>(_ elements: [Element]) -> UnsafePointer<Element> {
      let line = 64
      let block = UnsafeMutableRawPointer.allocate(byteCount: max(elements.count, 1) * MemoryLayout<Element>.stride + line, alignment: 16)
      blocks.append(block)
      return UnsafePointer(block.alignedUp(toMultipleOf: line).initializeMemory(as: Element.self, from: elements, count: elements.count))
    }

    var lists = Lists()
    var domains = model.domains.map { lists.entry(of: $0) }
    let routing = model.routing.arrays
    for (position, interface) in routing.interfaces.enumerated().reversed() where interface.domain != .absent {
      domains[Int(interface.domain)].router = UInt16(position)
    }
    let policies = model.policies.map { lists.entry(of: $0) }
    let vteps = model.vteps.map { lists.entry(of: $0) }
    let adjacencies = store(model.vteps.flatMap(\.adjacencies) + [.unusable])
    let unusable = adjacencies + model.vteps.reduce(0) { $0 + $1.adjacencies.count }
    let nextHops = Self.nextHops(model.vteps, adjacencies, unusable)
    let queues = QueueLists(model.receiveQueues)
    let descriptors = store(model.descriptors.flatMap { $0 })
    var ports = model.ports
    var firstDescriptor = 0
    for (index, list) in model.descriptors.enumerated() where !list.isEmpty {
      ports[index].descriptors = descriptors + firstDescriptor
      firstDescriptor += list.count
    }
    let uplinks = ports.indices.filter { ports[$0].isUnderlay && ports[$0].isAttached }.map { PortIndex($0) }
    let vniSlots = Self.vniSlots(domains)
    let (ipv4Slots, ipv6Slots) = Self.addressSlots(
      vteps, own: [model.ownIPv4, model.ownIPv6].filter { !$0.isUnspecified })

    let block = UnsafeMutablePointer<ForwardingSnapshot>.allocate(capacity: 1)
    block.initialize(
      to: ForwardingSnapshot(
        generation: generation,
        ports: store(ports), policies: store(policies), allowedSources: store(lists.allowedSources),
        acls: store(model.acls.map { $0?.programs ?? ACLPrograms() }), aclSlotCount: model.aclSlotCount, domains: store(domains),
        vxlanHeaders: store(domains.map { OuterHeader.vxlanHeader($0.vni) }),
        storms: store(lists.storms),
        vteps: store(vteps), nextHops: store(nextHops), onlyHops: store(nextHops.map { $0.count == 1 ? $0.first : unusable }),
        localTargets: store(lists.locals), floodTargets: store(lists.flood), peers: store(lists.peers),
        vniSlots: store(vniSlots), vniMask: UInt32(vniSlots.count - 1),
        ipv4: IPv4Map(slots: store(ipv4Slots), mask: UInt32(ipv4Slots.count - 1)),
        ipv6Slots: store(ipv6Slots), ipv6Mask: UInt32(ipv6Slots.count - 1),
        receiveQueues: store(queues.all), receiveQueueStarts: store(queues.starts), polledQueueEnds: store(queues.polledEnds),
        queuesOfSlots: store(queues.ofSlots), slotCount: queues.ofSlots.count, latestQueueSerial: queues.all.map(\.serial).max() ?? 0,
        ioQueues: store(model.ioQueues.flatMap { $0.map(\.queue) }),
        ioQueueStarts: store(model.ioQueues.reduce(into: [0]) { $0.append($0[$0.count - 1] + UInt32($1.count)) }),
        announcements: store(model.announcements), announcementCount: model.announcements.count,
        dscpOfPCP: store(model.priorities.dscpOfPCP), pcpOfDSCP: store((0..<64).map { model.priorities.pcp(dscp: $0) }),
        ownIPv4: model.ownIPv4.isUnspecified ? .max : UInt64(model.ownIPv4.ipv4.bigEndian), ownIPv6: model.ownIPv6,
        uplinks: store(uplinks), uplinkCount: uplinks.count, decapPolicy: model.decapPolicy,
        tooBigReplies: model.repliesTooBig ? PolicyState.tooBigReplyRate : .none,
        routing: RouterTables(
          routers: store(routing.routers), interfaces: store(routing.interfaces), addresses: store(routing.addresses),
          ranges: store(routing.ranges), requestMAC: model.routing.requestMAC)))
    blocks.append(UnsafeMutableRawPointer(block))
    snapshot = UnsafePointer(block)
    vlanMaps = model.vlanMaps
    aclMaps = model.aclMaps
    acls = model.acls
    self.blocks = blocks
  }

  /// The workers' receive queues.
  private struct QueueLists {
    var all: [ReceiveQueue] = []
    var starts: [UInt32] = [0]
    var polledEnds: [UInt32] = []
    var ofSlots: [UInt32]

    init(_ workers: [[ReceiveQueue]]) {
      let slotCount = workers.joined().compactMap { $0.isPolled ? nil : Int($0.slot) + 1 }.max() ?? 0
      ofSlots = Array(repeating: .max, count: slotCount)
      for queues in workers {
        all += queues.lazy.filter(\.isPolled)
        polledEnds.append(UInt32(all.count))
        for queue in queues where !queue.isPolled {
          ofSlots[Int(queue.slot)] = UInt32(all.count)
          all.append(queue)
        }
        starts.append(UInt32(all.count))
      }
    }
  }

  /// - Parameters:
  ///   - adjacencies: of all VTEPs.
  ///   - unusable: takes no frame.
  private static func nextHops(
    _ vteps: [ForwardingModel.VTEP], _ adjacencies: UnsafePointer<Adjacency>, _ unusable: UnsafePointer<Adjacency>
  ) -> [NextHops] {
    var next = adjacencies
    return vteps.map { vtep in
      let count = vtep.adjacencies.count
      defer { next += count }
      return NextHops(first: count > 0 ? next : unusable, count: UInt32(count))
    }
  }

  /// What entries refer to by position and count.
  private struct Lists {
    var locals: [LocalTarget] = []
    var flood: [VTEPIndex] = []
    var peers: [VTEPIndex] = []
    var storms: [StormEntry] = []
    var allowedSources: [UInt64] = []

    mutating func entry(of domain: ForwardingModel.Domain) -> DomainEntry {
      var entry = domain.entry
      (entry.firstLocal, entry.localCount) = (UInt32(locals.count), UInt32(domain.locals.count))
      (entry.firstFlood, entry.floodCount) = (UInt32(flood.count), UInt32(domain.flood.count))
      (entry.firstPeer, entry.peerCount) = (UInt32(peers.count), UInt32(domain.peers.count))
      locals += domain.locals
      flood += domain.flood
      peers += domain.peers.count > 1 ? domain.peers.sorted() : domain.peers
      if let storm = domain.storm {
        entry.storm = UInt16(storms.count)
        storms.append(storm)
      }
      return entry
    }

    mutating func entry(of policy: ForwardingModel.Policy) -> PolicyEntry {
      var entry = policy.entry
      (entry.firstSource, entry.sourceCount) = (UInt32(allowedSources.count), UInt32(policy.allowedSources.count))
      allowedSources += policy.allowedSources
      return entry
    }

    mutating func entry(of vtep: ForwardingModel.VTEP) -> VTEPEntry {
      var entry = vtep.entry
      (entry.firstMember, entry.memberCount) = (UInt32(flood.count), UInt32(vtep.members.count))
      flood += vtep.members
      return entry
    }
  }

  // All elements are plain data: nothing to deinitialise.
  deinit { for block in blocks { block.deallocate() } }

  /// Room for `count` keys at a load of one half or less, as a power of two.
  private static func slotCount(_ count: Int) -> Int {
    var size = 16
    while size < count * 2 { size *= 2 }
    return size
  }

  private static func vniSlots(_ domains: [DomainEntry]) -> [VNISlot] {
    var slots = [VNISlot](repeating: VNISlot(), count: slotCount(domains.count))
    for (index, domain) in domains.enumerated() where domain.isInUse {
      var slot = Int(ForwardingSnapshot.hash(domain.vni.rawValue)) & (slots.count - 1)
      while slots[slot].domain != DomainIndex.absent { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = VNISlot(domain, at: DomainIndex(index))
    }
    return slots
  }

  private static func addressSlots(_ vteps: [VTEPEntry], own: [IPAddress]) -> ([IPv4Slot], [IPv6Slot]) {
    var ipv4 = [IPv4Slot](repeating: IPv4Slot(), count: slotCount(vteps.count + 1))
    var ipv6 = [IPv6Slot](repeating: IPv6Slot(), count: slotCount(vteps.count + 1))
    func insert(_ address: IPAddress, _ index: VTEPIndex) {
      if address.isIPv4 {
        let wireAddress = address.ipv4.bigEndian
        var slot = Int(IPv4Map.hash(wireAddress)) & (ipv4.count - 1)
        while ipv4[slot].index != .absent { slot = (slot + 1) & (ipv4.count - 1) }
        ipv4[slot] = IPv4Slot(
          wireAddress: wireAddress, index: index, peer: index == .own || address.ipv4 >= 0xe000_0000 ? .absent : index)
      } else {
        var slot = Int(ForwardingSnapshot.hash(address)) & (ipv6.count - 1)
        while ipv6[slot].index != .absent { slot = (slot + 1) & (ipv6.count - 1) }
        ipv6[slot] = IPv6Slot(address: address, index: index, peer: index == .own || address.isMulticast ? .absent : index)
      }
    }
    for address in own { insert(address, .own) }
    for (index, vtep) in vteps.enumerated() where vtep.isInUse { insert(vtep.address, VTEPIndex(index)) }
    return (ipv4, ipv6)
  }
}
