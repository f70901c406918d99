// ControlState+Migration: guests that arrive: their addresses are announced. Before that, the VNI can be prepared for a while: its group
// is joined and VTEPs are resolved.

import Encap
import MACTable

/// A VNI that is prepared for a guest.
struct Preparation {
  /// On the monotonic clock.
  var endSeconds: UInt32
  /// Resolved meanwhile.
  var vteps: Set<IPAddress>

  var secondsLeft: Int { max(Int(Int32(bitPattern: endSeconds &- MonotonicClock.seconds())), 0) }
}

extension ControlState {
  /// Seconds that an announcement stays in the snapshots: a worker takes a new one within a fraction of that.
  private static let announcementSeconds: UInt32 = 2

  /// Announces the addresses of ports that have come up since the last call. The next snapshot carries it.
  mutating func announcePorts() {
    for record in ports.values where record.isUp != record.isAnnounced {
      let name = record.settings.name
      ports[name]?.isAnnounced = record.isUp
      guard record.isUp, record.settings.isAnnounced else { continue }
      var count = 0
      for (vlan, vni) in record.settings.bindings {
        guard let domain = domains[vni] else { continue }
        for mac in record.settings.macs(vlan: vlan) {
          announcementSerial += 1
          count += 1
          model.announcements.append(
            Announcement(
              serial: announcementSerial, key: MACKey(domain: domain.index, mac: mac), place: .port(record.index, vlan: vlan)))
        }
      }
      lastAnnouncement = effects.nowSeconds
      effects.log.info("port \(name): \(count) addresses announced")
    }
  }

  /// Removes announcements that have been sent.
  mutating func forgetAnnouncements() {
    guard !model.announcements.isEmpty, effects.nowSeconds &- lastAnnouncement > Self.announcementSeconds else { return }
    model.announcements = []
  }

  /// Prepares a VNI for a guest that is about to arrive: joins its group and resolves VTEPs.
  ///
  /// - Parameters:
  ///   - vteps: besides those that the VNI floods to.
  ///   - seconds: how long it stays ready without a port.
  /// - Returns: whether it was not ready, or not for all of `vteps`.
  /// - Throws: `.refused` for an unknown VNI, or an address that no other VTEP can have.
  mutating func prepare(vni: VNI, vteps: [IPAddress], seconds: UInt32) throws(VTEPError) -> Bool {
    let operation = "port prepare"
    guard domains[vni] != nil else { throw VTEPError(.refused, operation, "VNI \(vni) is not defined", remedy: "add it first") }
    for address in vteps {
      if let reason = address.reasonAgainstVTEP ?? running.underlay.reasonAgainstDestination(address) {
        throw VTEPError(.refused, operation, "vtep \(address) is \(reason)")
      }
    }
    let old = preparations[vni]
    let all = (old?.vteps ?? []).union(vteps)
    preparations[vni] = Preparation(endSeconds: effects.nowSeconds &+ seconds, vteps: all)
    if all != old?.vteps ?? [] {
      for address in all where vtep(address, isConfigured: true) == nil {
        effects.log.error("VTEP \(address): the table of \(Limits.vteps) VTEPs is full")
      }
      stale.adjacencies = true
    }
    stale.memberships = true
    settle()
    return old == nil || all != old?.vteps
  }

  /// Ends preparations whose time is over, or whose VNI is gone.
  mutating func endPreparations() {
    let now = effects.nowSeconds
    let over = preparations.filter { vni, preparation in
      domains[vni] == nil || Int32(bitPattern: now &- preparation.endSeconds) >= 0
    }
    guard !over.isEmpty else { return }
    for vni in over.keys { preparations[vni] = nil }
    unconfigureVTEPs()
    stale.memberships = true
  }
}
