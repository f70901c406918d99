// ControlHandler: the control server's interface to the rest of the daemon, with one method for each command of vtepctl.
// The composition root implements it over the data plane; the server knows nothing about forwarding.

import VTEPControl

/// Answers the commands of the control socket. Called from many connections at once.
///
/// Parameters have the right types, but their values are not checked yet; `ControlRequest+Values` converts them.
/// `limit` of a paged request is always set, from 1 to `ControlLimits.pageRowCount`.
protocol ControlHandler: Sendable {
  /// Answered in every state of the daemon.
  func handle(_ request: GetStatus) async throws(ControlError) -> DaemonStatus

  func handle(_ request: ShowMACTable) async throws(ControlError) -> Page<MACTableRow>
  func handle(_ request: ShowMACMoves) async throws(ControlError) -> Page<MACMoveRow>
  func handle(_ request: ShowVNIs) async throws(ControlError) -> Page<VNIRow>
  func handle(_ request: ShowVTEPs) async throws(ControlError) -> Page<VTEPRow>
  func handle(_ request: ShowPorts) async throws(ControlError) -> [PortRow]
  func handle(_ request: ShowBindings) async throws(ControlError) -> Page<BindingRow>
  func handle(_ request: ShowDrops) async throws(ControlError) -> [DropRow]
  func handle(_ request: ShowMulticast) async throws(ControlError) -> [MulticastRow]
  func handle(_ request: ShowUnderlay) async throws(ControlError) -> [UnderlayRow]
  func handle(_ request: ShowWorkers) async throws(ControlError) -> [WorkerRow]
  func handle(_ request: ShowOVSDB) async throws(ControlError) -> [OVSDBRemoteRow]
  func handle(_ request: ShowTransactions) async throws(ControlError) -> [TransactionRow]
  func handle(_ request: ReleaseHold) async throws(ControlError) -> ChangeAnswer

  func handle(_ request: AddMAC) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: DeleteMAC) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: FlushMACs) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: AddVNI) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: SetVNI) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: DeleteVNI) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: AddPeer) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: DeletePeer) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: AddPort) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: SetPort) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: PreparePort) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: DeletePort) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: AddBinding) async throws(ControlError) -> ChangeAnswer
  func handle(_ request: DeleteBinding) async throws(ControlError) -> ChangeAnswer

  func handle(_ request: CheckConfiguration) async throws(ControlError) -> ConfigurationAnswer
  func handle(_ request: ApplyConfiguration) async throws(ControlError) -> ConfigurationAnswer
  func handle(_ request: ShowConfiguration) async throws(ControlError) -> ConfigurationText
}
