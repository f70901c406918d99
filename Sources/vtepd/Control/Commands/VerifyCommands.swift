// VerifyCommands: `vtepctl verify [--fix]`. While the reconciler or the publisher works, things differ for a moment: a difference counts if
// several looks in a row find it.

import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addVerifyCommands(to commands: inout ControlCommands) {
    commands.add(Verify.self, handle)
    commands.add(RepairDifferences.self, handle)
  }

  func handle(_ request: Verify) async throws(ControlError) -> [DifferenceRow] {
    await lastingDifferences(try running()).map { DifferenceRow($0) }
  }

  func handle(_ request: RepairDifferences) async throws(ControlError) -> [DifferenceRow] {
    let reconciler = try running()
    let found = await lastingDifferences(reconciler)
    guard !found.isEmpty else { return [] }
    log.notice("verify: repairing \(found.count) differences")
    await reconciler.repair()
    await controller.republish()
    var left = Set(found)
    for _ in 0..<Self.repairLooks where !left.isEmpty {
      try? await Task.sleep(for: Self.interval)
      left.formIntersection(await differences(reconciler))
    }
    return found.map { DifferenceRow($0, repaired: !left.contains($0)) }
  }

  /// vtepd repairs most by itself within a second.
  private static let interval = Duration.milliseconds(700)
  private static let looks = 3
  private static let repairLooks = 6

  /// Those that are still the same after a while, in the order of the first look.
  private func lastingDifferences(_ reconciler: Reconciler) async -> [Discrepancy] {
    var found = await differences(reconciler)
    for _ in 1..<Self.looks where !found.isEmpty {
      try? await Task.sleep(for: Self.interval)
      let again = Set(await differences(reconciler))
      found.removeAll { !again.contains($0) }
    }
    return found
  }

  private func differences(_ reconciler: Reconciler) async -> [Discrepancy] {
    let found = await reconciler.discrepancies()
    guard configuration.ovsdb != nil else { return found }
    let remotes = await ovsdb.status().remotes
    return found + (await controller.discrepancies(remotes.first?.lastError))
  }
}

extension DifferenceRow {
  fileprivate init(_ difference: Discrepancy, repaired: Bool? = nil) {
    self.init(
      place: difference.place.rawValue, subject: difference.subject, intended: difference.intended, actual: difference.actual,
      repaired: repaired)
  }
}
