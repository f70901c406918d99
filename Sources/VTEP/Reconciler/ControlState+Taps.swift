// ControlState+Taps: taps that have left our namespace. In another one their MTU and state are followed; those that were deleted, with a
// container's namespace or by hand, are created again.

import Netlink

/// The interface of a tap in another namespace.
struct AwayLink: Equatable {
  /// The namespace, as ours calls it.
  var namespaceID: Int32
  var link: Link

  struct Key: Hashable {
    var namespaceID: Int32
    var index: Int32
  }

  var key: Key { Key(namespaceID: namespaceID, index: link.index) }
}

extension ControlState {
  /// Asks for the states of all taps, with one system call: events tell neither of the end of a tap nor of all namespaces.
  mutating func pollTaps() {
    let taps = ports.values.compactMap { record -> (name: String, descriptor: Int32, state: TapDevice.State?)? in
      guard case .tap(let tap)? = record.device else { return nil }
      return (record.settings.name, tap.descriptors[0], record.tapState)
    }
    guard !taps.isEmpty else { return }
    var gone: [String] = []
    for (tap, state) in zip(taps, effects.states(ofTaps: taps.map(\.descriptor))) where state != tap.state {
      ports[tap.name]?.tapState = state
      if state == .gone { gone.append(tap.name) } else { refresh(tap.name) }
    }
    remake(gone)
  }

  private mutating func remake(_ names: [String]) {
    for name in names {
      effects.log.warning("port \(name): \(ports[name]?.settings.attachment.place ?? "") was deleted, or its namespace; creating it again")
      lose(name)
    }
    for name in names { reopen(name) }
  }

  /// Finds the interface of a tap.
  ///
  /// - Returns: whether it is in our namespace.
  @discardableResult
  mutating func locate(_ name: String) -> Bool {
    guard let record = ports[name], case .tap(let tap)? = record.device else { return false }
    switch effects.place(of: tap) {
    case .gone:
      remake([name])
      return false
    case .here(let link):
      ports.move(name, link: link, away: nil)
    case .away(let namespaceID, let link):
      ports.move(name, link: nil, away: AwayLink(namespaceID: namespaceID, link: link))
    case .hidden:
      ports.move(name, link: nil, away: nil)
    }
    let isHere = ports[name]?.link != nil
    // What was set on the interface does not go with it.
    if !isHere { ports[name]?.hostSide = HostSide() }
    refresh(name)
    return isHere
  }

  /// A tap in another namespace has changed.
  mutating func updateAwayLink(_ away: AwayLink) {
    guard let name = ports.name(away: away.key) else { return }
    ports.move(name, link: nil, away: away)
    refresh(name)
  }

  /// A tap has left a namespace that is not ours.
  ///
  /// - Returns: the port whose tap has come home.
  mutating func removeAwayLink(_ key: AwayLink.Key) -> String? {
    guard let name = ports.name(away: key) else { return nil }
    return locate(name) ? name : nil
  }

  /// Finds taps of which no events tell.
  ///
  /// - Parameter all: those in namespaces whose events are read, too.
  mutating func locateAwayTaps(all: Bool) {
    for record in ports.values where record.device?.kind == .tap && record.link == nil {
      if all || record.away == nil || !effects.followsNamespaces { locate(record.settings.name) }
    }
  }
}
