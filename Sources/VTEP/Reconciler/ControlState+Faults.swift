// ControlState+Faults: ports that are down for a reason: what they attach to is missing, their guest breaks the rules, or a guard shut
// them. They are retried.

extension ControlState {
  /// Reopens ports that found nothing to attach to or lost it, and those whose hold time is over.
  mutating func retryPorts() {
    effects.opensTogether = true
    defer { effects.opensTogether = false }
    for name in ports.deserted { lose(name) }
    for name in ports.waiting(tick: ticks) { reopen(name) }
  }

  /// The port is retried until it can be attached. Each reason is logged once.
  mutating func markUnattached(_ name: String, _ reason: String) {
    guard let record = ports[name] else { return }
    let old = record.fault?.cause == .attachment ? record.fault : nil
    if old?.reason != reason { effects.log.error("\(reason); retrying port \(name)") }
    ports[name]?.fault = PortFault(attachment: reason, at: ticks, previous: old)
    readStatus(name)
  }

  /// The port's guest breaks the rules.
  mutating func takeDown(_ name: String, _ reason: String) {
    putDown(name, PortFault(reason: reason, at: ticks, previous: ports[name]?.fault))
  }

  /// Keeps a port down for as long as a fault lasts.
  private mutating func putDown(_ name: String, _ fault: PortFault) {
    guard let record = ports[name] else { return }
    effects.log.error("port \(name): \(fault.isShut ? "shut" : "taken down") for \(fault.secondsLeft(at: ticks)) s: \(fault.reason)")
    ports[name]?.fault = fault
    let staysOpen = fault.isShut && !record.driver.closesWhenDisabled
    if !staysOpen { lose(name) } else { effects.setCarrier(record, isOn: false) }
    readStatus(name)
    ports.touch(name, isSilent: true, stale: &stale)
  }

  mutating func readStatus(_ name: String) {
    guard let record = ports[name] else { return }
    ports[name]?.status = record.status(of: effects.status(of: record))
  }

  // -- ports that are shut -------------------------------------------------------------------------------------------------

  mutating func heed(_ alarm: PortAlarm) {
    switch guards.judge(alarm, ports, running, tick: ticks) {
    case .shut(let name, let cause, let reason, let holdSeconds):
      putDown(name, PortFault(cause, reason: reason, at: ticks, holdSeconds: holdSeconds))
    case .joined(let vnis, let how):
      effects.events.note(.guardLoop, Event.Subject(vni: vnis[0]), "VNIs \(vnis[0]) and \(vnis[1]) are joined outside: \(how)")
      effects.log.warning("VNIs \(vnis[0]) and \(vnis[1]) are joined outside: \(how)")
    case nil: break
    }
  }

  /// Opens shut ports whose hold time is over.
  mutating func openShutPorts() {
    for name in ports.released(tick: ticks) {
      ports[name]?.fault = nil
      guard let record = ports[name] else { continue }
      effects.setCarrier(record, isOn: record.settings.isEnabled)
      readStatus(name)
      if ports[name]?.isUp == true { ports[name]?.wasUp = true }
      updateQueues(name)
      ports.touch(name, stale: &stale)
      effects.log.notice("port \(name): no longer shut, \(ports[name]?.status.state ?? .waiting)")
      reopen(name)
    }
  }

  /// Ends the hold time of a port that is shut or taken down.
  ///
  /// - Returns: whether it was.
  mutating func release(port name: String) -> Bool {
    guard ports[name]?.fault?.isHeld(at: ticks) == true else { return false }
    ports[name]?.fault?.end(at: ticks)
    openShutPorts()
    settle()
    return true
  }
}
