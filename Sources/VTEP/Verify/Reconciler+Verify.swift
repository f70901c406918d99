// Reconciler+Verify: `vtepctl verify`: looks for what differs from what is intended, and repairs it by having it carried out again.

import Netlink

extension Reconciler {
  /// What differs at this moment. Events that are on their way explain some of it: what two looks a while apart find is real.
  public func discrepancies() -> [Discrepancy] {
    handleMessages()
    return state.discrepancies() + effects.discrepancies(state)
  }

  /// Carries out again what is intended: opens what is gone, joins, requests, enters, publishes.
  public func repair() {
    for record in state.ports.values {
      let name = record.settings.name
      if effects.fault(of: record) != nil {
        state.lose(name)
        state.reopen(name)
      } else if effects.lacksGuard(record) {
        state.ports[name]?.hostSide.guardian = nil
      }
    }
    for device in state.underlay.devices where device.devargs == nil && effects.fault(of: device) != nil {
      state.reattach(device.name)
    }
    reread()
    updateHostSides()
    state.settleAgain()
    effects.verifyMemberships()
    publishReports()
  }
}
