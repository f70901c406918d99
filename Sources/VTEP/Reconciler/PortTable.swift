// PortTable: access ports by name, and the indexes that the data plane knows them by. A value: which port keeps which index, when an
// index is free again, what a new state of a port makes stale, and which ports are due. It opens nothing and asks nobody.

import Encap
import MACTable
import Netlink

struct PortTable {
  private(set) var byName: [String: PortRecord] = [:]
  private var names: [PortIndex: String] = [:]
  /// By the interface that they name, and by the index of the one that they have.
  private var ofDevice: [String: String] = [:]
  private var ofLink: [Int32: String] = [:]
  private var ofAwayLink: [AwayLink.Key: String] = [:]
  /// Shared with the underlay's devices.
  private var indexes = IndexPool<PortIndex>(limit: Int(Limits.routerPort))

  var values: Dictionary<String, PortRecord>.Values { byName.values }
  var keys: Dictionary<String, PortRecord>.Keys { byName.keys }

  subscript(name: String) -> PortRecord? {
    get { byName[name] }
    _modify {
      let linkIndex = byName[name]?.link?.index
      defer { if byName[name]?.link?.index != linkIndex { moveLink(of: name, from: linkIndex) } }
      yield &byName[name]
    }
  }

  /// The interface of a tap is somewhere else, or has changed.
  ///
  /// - Parameters:
  ///   - link: in our namespace.
  ///   - away: in another one that can be seen.
  mutating func move(_ name: String, link: Link?, away: AwayLink?) {
    if let old = byName[name]?.away, ofAwayLink[old.key] == name { ofAwayLink[old.key] = nil }
    byName[name]?.away = away
    if let away, byName[name] != nil { ofAwayLink[away.key] = name }
    self[name]?.link = link
  }

  private mutating func moveLink(of name: String, from old: Int32?) {
    if let old, ofLink[old] == name { ofLink[old] = nil }
    if let new = byName[name]?.link?.index { ofLink[new] = name }
  }

  subscript(index: PortIndex) -> PortRecord? { names[index].flatMap { byName[$0] } }

  // -- indexes -----------------------------------------------------------------------------------------------------------

  /// Nil when all are in use.
  mutating func takeIndex() -> PortIndex? { indexes.take() }

  /// No worker and no entry of the MAC table names the index any more.
  mutating func giveBack(_ index: PortIndex) { indexes.giveBack(index) }

  // -- settings ----------------------------------------------------------------------------------------------------------

  /// What `replace` did.
  struct Replacement {
    /// Ports that keep their index, and their device if they have one, with the settings and the state that they had.
    var kept: [(name: String, old: PortRecord)] = []
    var added: [String] = []
    /// Their indexes are in use until `giveBack`.
    var gone: [PortRecord] = []
  }

  /// Puts other settings in place. A port is the same port as long as it has the same device, whatever it is called.
  mutating func replace(with settings: [String: PortSettings], tick: Int, stale: inout StaleState) -> Replacement {
    var replacement = Replacement()
    var byDevice: [PortSettings.DeviceIdentity: PortRecord] = [:]
    for record in byName.values { byDevice[record.settings.deviceIdentity] = record }
    (byName, names, ofDevice, ofLink, ofAwayLink) = ([:], [:], [:], [:], [:])
    for (name, settings) in settings {
      if var record = byDevice.removeValue(forKey: settings.deviceIdentity) {
        replacement.kept.append((name, record))
        record.settings = settings
        if let fault = record.fault, !fault.stands(with: settings) { record.fault?.end(at: tick) }
        enter(record)
      } else if let index = indexes.take() {
        // `problems()` has checked that there are fewer ports than indexes.
        replacement.added.append(name)
        enter(PortRecord(settings: settings, index: index))
        stale.hasNewIndexes = true
      }
    }
    replacement.gone = Array(byDevice.values)
    stale.gonePorts.formUnion(replacement.gone.map(\.index))
    stale.ports = true
    return replacement
  }

  private mutating func enter(_ record: PortRecord) {
    byName[record.settings.name] = record
    names[record.index] = record.settings.name
    if let device = record.settings.attachment.device { ofDevice[device] = record.settings.name }
    if let link = record.link { ofLink[link.index] = record.settings.name }
    if let away = record.away { ofAwayLink[away.key] = record.settings.name }
  }

  // -- state -------------------------------------------------------------------------------------------------------------

  /// Takes note of what a port's device says.
  ///
  /// - Returns: what the port's status was, if that is something else.
  mutating func update(_ name: String, device: PortStatus, stale: inout StaleState) -> PortStatus? {
    guard let old = byName[name]?.status, let new = byName[name]?.status(of: device), new != old else { return nil }
    byName[name]?.status = new
    if new.state == .up { byName[name]?.wasUp = true }
    touch(name, isSilent: old.state == .up && new.state != .up, stale: &stale)
    return old
  }

  /// Marks what follows from a change of a port.
  ///
  /// - Parameter isSilent: nothing is known behind it any more.
  func touch(_ name: String, isSilent: Bool = false, stale: inout StaleState) {
    guard let record = byName[name] else { return }
    stale.ports = true
    stale.domains.formUnion(record.bound.values)
    if isSilent { stale.silentPorts.insert(record.index) }
  }

  /// The port loses its device: nothing is known behind it any more, and nobody may use the device once workers are done with it.
  mutating func lose(_ name: String, stale: inout StaleState) {
    guard let record = byName[name] else { return }
    stale.closing.append(StaleState.Closing(device: record.device, hostSide: record.hostSide, subject: "port \(name)"))
    touch(name, isSilent: true, stale: &stale)
    byName[name]?.device = nil
    move(name, link: nil, away: nil)
    byName[name]?.tapState = nil
    byName[name]?.hostSide = HostSide()
    byName[name]?.polledQueues = 0
    byName[name]?.wasUp = false
    if let status = byName[name]?.status(of: PortStatus()) { byName[name]?.status = status }
  }

  // -- ports that are due ------------------------------------------------------------------------------------------------

  /// Ports that had a peer and have lost it, and have to be opened anew.
  var deserted: [String] {
    byName.values.filter {
      $0.device != nil && !$0.isUp && $0.wasUp && $0.driver.losesPeerForGood($0.settings.attachment)
    }.map(\.settings.name)
  }

  /// Ports without a device that are to be tried again.
  func waiting(tick: Int) -> [String] {
    byName.values.filter {
      $0.device == nil && $0.fault?.isHeld(at: tick) != true && $0.settings.wantsDevice && ($0.driver.retriesOpening || $0.fault != nil)
    }.map(\.settings.name)
  }

  /// Ports that are shut and whose time is over.
  func released(tick: Int) -> [String] {
    byName.values.filter { $0.isShut && $0.fault?.isHeld(at: tick) == false }.map(\.settings.name)
  }

  /// Ports that have a device and are not to have one.
  var surplus: [String] { byName.values.filter { $0.device != nil && !$0.settings.wantsDevice }.map(\.settings.name) }

  /// The port whose interface has this name.
  func name(device: String) -> String? { ofDevice[device] }
  /// The port that has this interface.
  func name(linkIndex: Int32) -> String? { ofLink[linkIndex] }
  func name(away key: AwayLink.Key) -> String? { ofAwayLink[key] }
}
