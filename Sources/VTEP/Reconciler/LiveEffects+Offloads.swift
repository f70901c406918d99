// LiveEffects+Offloads: decides what NICs that were just opened do for the workers: by frames to themselves where the driver has a loopback
// mode, or else from one NIC to another.

import CDPDK
import Glibc

extension LiveEffects {
  /// Drivers that have the NIC receive what it sends (`rte_eth_conf.lpbk_mode`); a device of net_ring does nothing else. Others ignore the
  /// mode and send.
  private static let driversWithLoopback: Set<String> = [
    "net_ixgbe", "net_igc", "net_txgbe", "net_ngbe", "net_cn9k", "net_cn10k", "net_ring",
  ]

  /// For a link to come up.
  private static let linkSeconds = 5.0

  func chooseOffloads(
    _ nics: [OwnedNIC], _ mode: UnderlaySettings.OffloadMode, udpPort: UInt16
  ) throws(VTEPError) -> [OwnedNIC] {
    var nics = nics
    if mode == .auto {
      for index in nics.indices where offloadFindings[nics[index].name] == nil { try testLoopback(&nics[index], udpPort: udpPort) }
      try testPairs(&nics, udpPort: udpPort)
    }
    for index in nics.indices {
      let device = nics[index].device
      let finding = offloadFindings[nics[index].name] ?? .untestable("\(device.driver) has no loopback mode, and no other NIC is there")
      let offloads = NICOffloads(
        offered: device.offered, namesTunnels: device.namesTunnels, driver: device.driver, mode: mode, finding: finding)
      if device.uplink?.isLoopback == true || device.uplink?.offloads.isSuperset(of: offloads.used) != true {
        try restart(&nics[index], offloads.used)
      }
      nics[index].device.offloads = offloads
      let texts = NICOffload.allCases.compactMap { offload in offloads.states[offload].map { "\(offload.rawValue) \($0)" } }
      log.info("underlay.dpdk \(nics[index].name): \(texts.joined(separator: "; "))")
    }
    return nics
  }

  private func testLoopback(_ nic: inout OwnedNIC, udpPort: UInt16) throws(VTEPError) {
    guard Self.driversWithLoopback.contains(nic.device.driver), !nic.device.offered.isEmpty else { return }
    try restart(&nic, nic.device.offered, isLoopback: true)
    waitForLinks([nic])
    let offered = nic.device.offered
    let failures = test(nic, nic, udpPort) { $0.reaches() ? $0.failures(of: offered) : nil }
    offloadFindings[nic.name] =
      failures.map { .tested(failures: $0) } ?? .untestable("nothing comes back in the loopback mode of \(nic.device.driver)")
  }

  private func testPairs(_ nics: inout [OwnedNIC], udpPort: UInt16) throws(VTEPError) {
    let untested = nics.indices.filter { offloadFindings[nics[$0].name] == nil && !nics[$0].device.offered.isEmpty }
    guard nics.count > 1, !untested.isEmpty else { return }
    waitForLinks(nics)
    var pairs: [(index: Int, partner: Int)] = []
    for index in untested {
      if let partner = nics.indices.first(where: { $0 != index && test(nics[index], nics[$0], udpPort) { $0.reaches() } }) {
        pairs.append((index, partner))
      } else {
        let hasLink = nics[index].device.hasLink
        offloadFindings[nics[index].name] = .untestable(
          hasLink ? "\(nics[index].device.driver) has no loopback mode, and no other NIC receives its frames" : "there was no link")
      }
    }
    for (index, _) in pairs { try restart(&nics[index], nics[index].device.offered) }
    waitForLinks(pairs.map { nics[$0.index] })
    for (index, partner) in pairs {
      let offered = nics[index].device.offered
      let sending = test(nics[index], nics[partner], udpPort) { $0.failures(of: offered.subtracting([.receivedChecksum])) }
      let receiving = test(nics[partner], nics[index], udpPort) { $0.failures(of: offered.intersection([.receivedChecksum])) }
      offloadFindings[nics[index].name] = .tested(failures: sending.merging(receiving) { first, _ in first })
    }
  }

  private func test<Result>(
    _ sender: OwnedNIC, _ receiver: OwnedNIC, _ udpPort: UInt16, _ body: (inout OffloadSelfTest) -> Result
  ) -> Result {
    var test = OffloadSelfTest(from: sender.device, to: receiver.device, pool: runtime.pool, udpPort: udpPort)
    return body(&test)
  }

  /// Those that stay down fail the tests.
  private func waitForLinks(_ nics: [OwnedNIC]) {
    let end = MonotonicClock.preciseSeconds() + Self.linkSeconds
    while !nics.allSatisfy(\.device.hasLink) {
      if MonotonicClock.preciseSeconds() > end { return }
      usleep(20_000)
    }
  }

  /// The NIC with other offloads. Nobody else uses it.
  private func restart(_ nic: inout OwnedNIC, _ offloads: Set<NICOffload>, isLoopback: Bool = false) throws(VTEPError) {
    let subject = "underlay.dpdk \(nic.name)"
    try VTEPError.check(rte_eth_dev_stop(nic.device.portID), "\(subject): stop")
    let mode = EthernetDevice.UplinkMode(
      mtu: nic.mtu, largestMTU: nic.device.uplink?.largestMTU, offloads: offloads, isLoopback: isLoopback)
    nic.device = try EthernetDevice.start(
      nic.device.portID, queues: dataplane.workers, purpose: .uplink(mode), runtime: runtime, subject: subject)
  }
}
