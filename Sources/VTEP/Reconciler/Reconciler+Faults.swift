// Reconciler+Faults: ports that cannot be as they should: what they attach to is not there yet or went away, or their
// guest breaks the rules. They are tried again from time to time.

import CDPDK

extension Reconciler {
  /// Opens ports anew that found nothing the last time or lost it, and those whose time in the corner is over.
  func retryPorts() {
    for (name, record) in ports {
      if record.driver.retriesOpening, record.settings.attachment.role == .client, record.device != nil, !record.isUp,
        record.wasUp
      {
        lose(name)
      }
      guard let record = ports[name], record.device == nil, record.fault?.isHeld(at: ticks) != true,
        record.settings.wantsDevice, record.driver.retriesOpening || record.fault != nil
      else { continue }
      reopen(name)
    }
  }

  /// Makes sockets anew that somebody has removed: nobody could connect to them any more. Ports whose peer is connected go on with
  /// it, and those that share their socket.
  func remakeSockets() {
    var missing: [String: [String]] = [:]
    var connected: Set<String> = []
    for (name, record) in ports where record.device != nil && record.settings.attachment.role == .server {
      guard let socket = record.settings.attachment.socket else { continue }
      let path = portHost.path(socket)
      if record.isUp { connected.insert(path) }
      if UnixSocketPath.isMissing(path) { missing[path, default: []].append(name) }
    }
    for (path, names) in missing where !connected.contains(path) {
      log.warning("ports \(names.sorted().joined(separator: ", ")): somebody has removed \(path); making it again")
      for name in names { lose(name) }
      for name in names { reopen(name) }
    }
  }

  /// Opens the device of a port that has none.
  func reopen(_ name: String) {
    guard let record = ports[name], record.device == nil else { return }
    do throws(VTEPError) {
      guard let opened = try open(record.settings) else { return }
      use(opened, port: name)
    } catch {
      noteUnattached(name, "\(error)")
    }
  }

  /// The port waits until it can be attached. The log tells each reason once.
  func noteUnattached(_ name: String, _ reason: String) {
    guard var record = ports[name] else { return }
    let old = record.fault?.cause == .attachment ? record.fault : nil
    if old?.reason != reason { log.error("\(reason); port \(name) waits and is tried again") }
    record.fault = PortFault(attachment: reason, at: ticks, previous: old)
    record.status = record.readStatus()
    ports[name] = record
  }

  /// Takes down ports whose guest's rings make no sense.
  func checkRings() {
    let free = rte_mempool_avail_count(runtime.pool)
    if let address = VanishedMemory.takeAddress() { memoryVanished(address) }
    for (name, record) in ports where record.isUp {
      // Without free buffers nothing is taken from a ring: that need not be the guest's fault.
      let patience = (record.device?.pool?.freeCount ?? free) > UInt32(Limits.burst * 8) ? Self.patienceTicks : .max
      guard let reason = record.device?.watch?.ringFault(polledQueues: record.polledQueues, patience: patience) else { continue }
      takeDown(name, reason)
    }
  }

  private func memoryVanished(_ address: UInt) {
    let owners = ports.values.filter { $0.device?.watch?.guestHas(address: address) == true }
    for record in owners { takeDown(record.settings.name, "the hypervisor took memory of the guest away") }
    if owners.isEmpty { log.error("a vhost-user peer shares memory that is not there; a page of it was replaced") }
  }

  /// Two seconds.
  private static let patienceTicks = 10

  private func takeDown(_ name: String, _ reason: String) {
    putDown(name, PortFault(reason: reason, at: ticks, previous: ports[name]?.fault))
  }

  /// Has a port down for as long as a fault says.
  func putDown(_ name: String, _ fault: PortFault) {
    guard let record = ports[name] else { return }
    log.error("port \(name): \(fault.isShut ? "shut" : "taken down") for \(fault.secondsLeft(at: ticks)) s: \(fault.reason)")
    ports[name]?.fault = fault
    let staysOpen = fault.isShut && !record.driver.closesWhenDisabled
    if !staysOpen {
      lose(name)
    } else if let device = record.device {
      record.driver.setCarrier(device, isOn: false)
    }
    if let status = ports[name]?.readStatus() { ports[name]?.status = status }
    touch(record, isSilent: true)
  }
}
