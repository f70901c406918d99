// Reconciler+Periodic: five times a second: whatever no event reports.

import CDPDK
import Encap
import MACTable
import Netlink

extension Reconciler {
  func tick() {
    state.ticks += 1
    state.pollPorts()
    state.followNICs()
    checkRings()
    state.openShutPorts()
    // Those that were in doubt at the last tick already, so that each has had a moment.
    state.giveUpDoubtfulNeighbors(doubtfulAtLastTick)
    doubtfulAtLastTick = state.underlay.doubtfulNeighbors
    effects.memberships.retry()
    state.forgetAnnouncements()
    state.endPreparations()
    state.endReturns()
    if state.ticks % PortFault.ticksPerSecond == 0 { everySecond() }
    if state.ticks % (10 * PortFault.ticksPerSecond) == 0 {
      state.forgetIdleTunnels()
      state.forgetIdleVTEPs()
    }
    state.settle()
    publishReports()
  }

  /// Forty times a second, while there are NICs that are ours: most drivers do not report their links, or not each time.
  ///
  /// - Returns: milliseconds until the next time.
  func followLinks() -> Int {
    if state.followLinks({ !$0.device.reportsLink }) {
      state.settle()
      publishReports()
    }
    return state.underlay.devices.contains { $0.nic != nil } ? 25 : 200
  }

  private func everySecond() {
    state.retryUnderlay()
    state.retryNeighbors()
    state.expirePathMTUs()
    effects.verifyMemberships()
    state.followPolicies()
    countMissedPackets()
    remakeSockets()
    state.retryPorts()
    if state.ticks % (5 * PortFault.ticksPerSecond) == 0 {
      state.locateAwayTaps(all: false)
      retryGuestPools()
    }
    if effects.retryPuntTaps(state.ports) { state.stale.slowPath = true }
    // Nothing to do unless a change of a map has failed.
    effects.steer(state.underlay.devices, state.running.underlay)
    state.retryController()
    sampleActivity()
    observer.look(at: effects.memberships.memberships, state, learner.events)
    limitObserver.look(at: state, effects.counters, learner.events)
  }

  /// Samples what workers and io-cores do, for figures over the last second.
  private func sampleActivity() {
    let now = (contexts.map(\.pointee.counters) + ioContexts.map(\.pointee.counters)).map { WorkerActivity($0.activity) }
    activity = now.indices.map { (before: activity.isEmpty ? now[$0] : activity[$0].latest, latest: now[$0]) }
  }

  /// Counts packets for which the sockets had no room.
  private func countMissedPackets() {
    for index in state.underlay.devices.indices {
      if let xdp = state.underlay.devices[index].device?.xdp { state.underlay.devices[index].missed &+= xdp.takeLosses() }
      if let nic = state.underlay.devices[index].nic { state.underlay.devices[index].missed = nic.device.missedFrames }
      for socket in state.underlay.devices[index].device?.packetSockets?.descriptors ?? [] {
        state.underlay.devices[index].missed &+= UInt64(max(cdpdk_packet_losses(socket), 0))
      }
    }
  }

  /// Recreates sockets that were removed, since nobody could connect to them any more. Ports with a connected peer keep it, and
  /// so do ports that share their socket.
  private func remakeSockets() {
    let host = effects.portHost()
    var missing: [String: [String]] = [:]
    var connected: Set<String> = []
    for record in state.ports.values where record.device != nil && record.settings.attachment.role == .server {
      guard let socket = record.settings.attachment.socket else { continue }
      let path = host.path(socket)
      if record.isUp { connected.insert(path) }
      if UnixSocketPath.isMissing(path) { missing[path, default: []].append(record.settings.name) }
    }
    for (path, names) in missing where !connected.contains(path) {
      log.warning("ports \(names.sorted().joined(separator: ", ")): \(path) was removed; creating it again")
      for name in names { state.lose(name) }
      for name in names { state.reopen(name) }
    }
  }

  /// Hugepages may have become free, or those of a device.
  private func retryGuestPools() {
    guard GuestPools.areMissing else { return }
    GuestPools.make(effects.runtime)
    guard !GuestPools.areMissing else { return }
    log.notice("there is memory again for packet buffers of guests' own")
    for record in state.ports.values where record.device?.guest != nil { state.refresh(record.settings.name) }
  }

  /// Takes down ports whose guest has corrupted its virtqueues.
  private func checkRings() {
    if let address = VanishedMemory.takeAddress() { memoryVanished(address) }
    // Without free buffers nothing is taken from a ring: which need not be the guest's fault.
    let patience = GuestPools.haveRoom(effects.runtime) ? Self.patienceTicks : .max
    for record in state.ports.values where record.isUp {
      guard let reason = record.device?.guest?.ringFault(polledQueues: record.polledQueues, patience: patience) else { continue }
      state.takeDown(record.settings.name, reason)
    }
  }

  private func memoryVanished(_ address: UInt) {
    let owners = state.ports.values.filter { $0.device?.guest?.guestHas(address: address) == true }
    for record in owners { state.takeDown(record.settings.name, "the hypervisor removed memory that the guest uses") }
    if owners.isEmpty { log.error("a vhost-user peer shares memory that does not exist; replaced a page of it") }
  }

  /// Two seconds.
  private static let patienceTicks = 2 * PortFault.ticksPerSecond
}
