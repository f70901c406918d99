// EventType: every type of event, with level, fields and meaning. `vtepctl monitor`, the log and docs/events.md follow this list; a test
// compares the document with it.

import Logging

/// What events are about: the first part of their types' names.
public enum EventGroup: String, Sendable, CaseIterable {
  case mac, limit, port, vtep
  case nextHop = "next-hop"
  case uplink, multicast, controller, config, guardian = "guard", worker, monitor
}

public enum EventType: String, Sendable, CaseIterable {
  case macLearned = "mac-learned"
  case macMoved = "mac-moved"
  case macAged = "mac-aged"
  case macEvicted = "mac-evicted"
  case macFrozen = "mac-frozen"
  case macReleased = "mac-released"
  case macFollowed = "mac-followed"
  case macPlaced = "mac-placed"
  case macRemoved = "mac-removed"
  case macFlushed = "mac-flushed"

  case limitVNI = "limit-vni"
  case limitTable = "limit-table"
  case limitPort = "limit-port"
  case limitPortEnded = "limit-port-ended"

  case portAttached = "port-attached"
  case portUp = "port-up"
  case portDown = "port-down"
  case portFault = "port-fault"
  case portLost = "port-lost"
  case portDeleted = "port-deleted"

  case vtepAppeared = "vtep-appeared"
  case vtepReachable = "vtep-reachable"
  case vtepUnreachable = "vtep-unreachable"
  case vtepMTU = "vtep-mtu"
  case vtepBFDUp = "vtep-bfd-up"
  case vtepBFDDown = "vtep-bfd-down"
  case vtepGone = "vtep-gone"

  case nextHopResolved = "next-hop-resolved"
  case nextHopFailed = "next-hop-failed"
  case nextHopMoved = "next-hop-moved"

  case uplinkUp = "uplink-up"
  case uplinkDown = "uplink-down"

  case multicastJoined = "multicast-joined"
  case multicastLeft = "multicast-left"
  case multicastFailed = "multicast-failed"

  case controllerUp = "controller-up"
  case controllerDown = "controller-down"
  case controllerError = "controller-error"
  case controllerRefused = "controller-refused"
  case controllerResolved = "controller-resolved"

  case configApplied = "config-applied"
  case configRefused = "config-refused"
  case configAwaiting = "config-awaiting"
  case configConfirmed = "config-confirmed"
  case configRolledBack = "config-rolled-back"

  case guardBPDU = "guard-bpdu"
  case guardLoop = "guard-loop"
  case guardStorm = "guard-storm"
  case guardEnded = "guard-ended"

  case workerStuck = "worker-stuck"
  case workerTurning = "worker-turning"

  case monitorLost = "monitor-lost"

  public var group: EventGroup {
    EventGroup.allCases.first { rawValue.hasPrefix($0.rawValue + "-") } ?? .monitor
  }

  public var level: Logger.Level {
    switch self {
    case .macLearned, .macMoved, .macAged, .macPlaced, .macRemoved: .debug
    case .macFlushed, .macEvicted, .vtepAppeared, .vtepGone, .nextHopResolved, .nextHopMoved, .multicastJoined, .multicastLeft,
      .configRefused:
      .info
    case .macReleased, .limitPortEnded, .portAttached, .portUp, .portDown, .portDeleted, .vtepReachable, .vtepMTU, .vtepBFDUp, .uplinkUp,
      .controllerUp, .controllerResolved, .configApplied, .configConfirmed, .guardEnded, .workerTurning:
      .notice
    case .macFrozen, .macFollowed, .limitVNI, .limitTable, .limitPort, .portLost, .vtepUnreachable, .vtepBFDDown, .nextHopFailed,
      .multicastFailed,
      .controllerDown, .controllerError, .controllerRefused, .configAwaiting, .configRolledBack, .guardStorm, .monitorLost:
      .warning
    case .portFault, .uplinkDown, .guardBPDU, .guardLoop, .workerStuck: .error
    }
  }

  /// What an event of the type has besides `seq`, `time`, `type`, `level` and `text`: keys of the JSON form.
  public var fields: [String] {
    switch self {
    case .macLearned: ["vni", "mac", "to"]
    case .macMoved, .macFrozen, .macReleased: ["vni", "mac", "from", "to"]
    case .macFollowed: ["vni", "mac"]
    case .macAged, .macEvicted: ["vni", "mac", "from"]
    case .macPlaced: ["vni", "mac", "from", "to", "source"]
    case .macRemoved: ["vni", "mac", "from", "source"]
    case .macFlushed: ["vni", "from", "count"]
    case .limitVNI: ["vni", "mac"]
    case .limitPort, .limitPortEnded, .portAttached, .portUp, .portDown, .portFault, .portLost, .portDeleted, .guardBPDU: ["port"]
    case .guardLoop: ["port", "vni"]
    case .guardStorm, .guardEnded: ["port", "vni"]
    case .vtepAppeared, .vtepReachable, .vtepUnreachable, .vtepMTU, .vtepBFDUp, .vtepBFDDown, .vtepGone, .nextHopResolved, .nextHopFailed,
      .nextHopMoved:
      ["address"]
    case .multicastJoined, .multicastLeft, .multicastFailed: ["address"]
    case .uplinkUp, .uplinkDown: ["device"]
    case .limitTable, .controllerUp, .controllerDown, .controllerError, .controllerRefused, .controllerResolved, .configApplied,
      .configRefused, .configAwaiting, .configConfirmed, .configRolledBack, .workerStuck, .workerTurning, .monitorLost:
      []
    }
  }

  /// For docs/events.md.
  public var meaning: String {
    switch self {
    case .macLearned: "a new address was seen at `to`"
    case .macMoved: "a learned address was seen at another place, and is there now"
    case .macAged: "an address was not seen for the VNI's `ageing-seconds`, and was forgotten"
    case .macEvicted: "the MAC table was full, and a learned address made room for another"
    case .macFrozen: "an address moved too often: it is held at `from`, and was also seen at `to`"
    case .macReleased: "an address is no longer frozen"
    case .macFollowed: "an address moved too often and is followed nevertheless: a virtual router's, or `mac-move` says `report`"
    case .macPlaced: "configuration or controller (`source`) placed an address at `to`, where it was not or not by them"
    case .macRemoved: "an entry was removed: by the configuration, the controller, or `vtepctl mac delete`; a learned one with its binding"
    case .macFlushed: "`count` addresses were forgotten at once: of a VNI, of what is behind `from`, or both"
    case .limitVNI: "a VNI has as many learned addresses as its `mac-limit` allows, and `mac` was not learned; once in 10 s"
    case .limitTable: "the MAC table is full: a new address displaces an old one, or is not learned; once in 10 s"
    case .limitPort: "a limit of a port (`mac-limit`, a rate, anti-spoofing) drops frames"
    case .limitPortEnded: "it has dropped nothing for 5 s"
    case .portAttached: "a port has its device"
    case .portUp: "a port is up"
    case .portDown: "a port is down: its guest, its interface, or the operator"
    case .portFault: "a port cannot be attached, or was taken down because of its guest; it is retried"
    case .portLost: "a port has lost its device"
    case .portDeleted: "a port was deleted"
    case .vtepAppeared: "a VTEP was configured, named by the controller, or seen for the first time"
    case .vtepReachable: "packets to a VTEP have a route, an uplink and a next hop that answers"
    case .vtepUnreachable: "nothing can be sent to a VTEP; the text says why"
    case .vtepMTU: "the MTU of the path to a VTEP has changed"
    case .vtepBFDUp: "the BFD session with a VTEP is up"
    case .vtepBFDDown: "the BFD session with a VTEP is no longer up; the text has the diagnostic"
    case .vtepGone: "a VTEP is forgotten: nothing names it, and nothing is known behind it"
    case .nextHopResolved: "the MAC address of a next hop is known"
    case .nextHopFailed: "a next hop no longer answers"
    case .nextHopMoved: "a next hop has another MAC address"
    case .uplinkUp: "an uplink can be used"
    case .uplinkDown: "an uplink is down, gone, or cannot be opened"
    case .multicastJoined: "the kernel has joined a group"
    case .multicastLeft: "a group was left"
    case .multicastFailed: "a group cannot be joined; it is retried"
    case .controllerUp: "the session with the controller's database is up, and its content is known"
    case .controllerDown: "the session is lost; forwarding goes on with the last known state"
    case .controllerError: "a transaction of ours failed"
    case .controllerRefused: "something that the controller wants cannot be done: a row that makes no sense, or a conflict"
    case .controllerResolved: "it can be done now, or is no longer wanted"
    case .configApplied: "configuration file, SIGHUP or `vtepctl` changed the configuration; the text says who and what"
    case .configRefused: "a change was refused; the text says why"
    case .configAwaiting: "a change is undone unless `vtepctl config confirm` comes in time"
    case .configConfirmed: "the change stays"
    case .configRolledBack: "a change was undone"
    case .guardBPDU: "the BPDU guard shut a port"
    case .guardLoop: "a loop probe came back: a port was shut, or two VNIs are joined outside"
    case .guardStorm: "storm control of a port or VNI drops frames"
    case .guardEnded: "a port is no longer shut, or storm control has dropped nothing for 5 s"
    case .workerStuck: "a worker or io-core has not finished its round for a second; the log has its backtrace"
    case .workerTurning: "it goes on"
    case .monitorLost: "events came faster than they could be written, and some are missing"
    }
  }

  /// All types as a table in Markdown, for docs/events.md.
  public static var reference: String {
    let rows = allCases.map { type in
      "| `\(type.rawValue)` | \(type.level) | \(type.fields.map { "`\($0)`" }.joined(separator: " ")) | \(type.meaning) |\n"
    }
    return "| type | level | fields | meaning |\n|---|---|---|---|\n" + rows.joined()
  }
}
