// OVSDBCommands: `vtepctl show ovsdb` and `vtepctl ovsdb …`: the exchange with the controller's database.

import VTEPControl

extension Daemon {
  nonisolated func addOVSDBCommands(to commands: inout ControlCommands) {
    commands.add(ShowOVSDB.self, handle)
    commands.add(ShowTransactions.self, handle)
    commands.add(ReleaseHold.self, handle)
  }

  func handle(_ request: ShowOVSDB) async throws(ControlError) -> [OVSDBRemoteRow] {
    let (remotes, replica) = await ovsdb.status()
    let report = await controller.report()
    return remotes.map { OVSDBRemoteRow($0, replica, report) }
  }

  func handle(_ request: ShowTransactions) async throws(ControlError) -> [TransactionRow] {
    let entries = await controller.transactions.entries
    let now = await controller.now
    return entries.suffix(max(request.last ?? .max, 0)).map { TransactionRow($0, now: now) }
  }

  func handle(_ request: ReleaseHold) async throws(ControlError) -> ChangeAnswer {
    _ = try running()
    return ChangeAnswer(changed: await controller.releaseHold())
  }
}
