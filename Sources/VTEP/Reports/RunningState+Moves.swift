// RunningState+Moves: `vtepctl show mac-moves`.

import Encap
import MACTable

extension RunningState {
  /// Frozen addresses first, then those that moved within the window.
  public func moveReports() -> [MACMoveReport] {
    let now = MonotonicClock.seconds()
    let names = indexNames
    return learner.write { $0.moves(nowSeconds: now) }.compactMap { moveReport($0, names, now: now) }
  }

  /// Nil when the VNI or a place is gone.
  func moveReport(_ move: MACMove, _ names: IndexNames, now: UInt32) -> MACMoveReport? {
    guard let vni = names.vnis[move.key.domain], let first = place(at: move.first, names), let second = place(at: move.second, names)
    else { return nil }
    let frozen = move.frozenSinceSeconds.map { now &- min($0, now) }
    let hold = configuration.protection.macMove.holdSeconds
    return MACMoveReport(
      vni: vni, mac: move.key.mac, first: first, second: second, moves: move.moves, frozenSeconds: frozen,
      releaseSeconds: frozen.map { hold - min($0, hold) })
  }
}
