// Reconciler+Moves: addresses seen at two places: the log lines about them. The MAC table freezes and releases them, on the learner's
// thread.

import Encap
import MACTable

extension Reconciler {
  /// Lines per second; more would hide the rest of the log.
  private static let moveLinesPerSecond = 10

  /// Logs what the learner reports.
  func tell(_ reports: [Learner.MoveReport]) {
    let now = MonotonicClock.seconds()
    if moveLines.second != now { moveLines = (now, 0) }
    let running = runningState
    let names = running.indexNames
    for report in reports {
      if case .followed(let move) = report, let report = running.moveReport(move, names, now: now) {
        learner.events.note(
          .macFollowed, Event.Subject(vni: report.vni, mac: report.mac),
          "VNI \(report.vni): \(report.mac) moved \(report.moves) times between \(report.first) and \(report.second); followed")
      }
      moveLines.count += 1
      guard moveLines.count <= Self.moveLinesPerSecond else {
        if moveLines.count == Self.moveLinesPerSecond + 1 { log.warning("more addresses keep moving: see vtepctl show mac-moves") }
        continue
      }
      switch report {
      case .frozen(let move):
        guard let report = running.moveReport(move, names, now: now) else { continue }
        log.warning(
          """
          VNI \(report.vni): \(report.mac) moved \(report.moves) times between \(report.first) and \(report.second); frozen at \
          \(report.first) for \(state.running.protection.macMove.holdSeconds) s
          """)
      case .followed(let move):
        guard let report = running.moveReport(move, names, now: now) else { continue }
        let reason = report.mac.isVirtualRouter ? "the address of a virtual router" : "mac-move action: report"
        log.warning(
          """
          VNI \(report.vni): \(report.mac) moved \(report.moves) times between \(report.first) and \(report.second); followed \
          (\(reason))
          """)
      case .released(let move):
        guard let report = running.moveReport(move, names, now: now) else { continue }
        log.notice("VNI \(report.vni): \(report.mac) is no longer frozen")
      }
    }
  }
}
