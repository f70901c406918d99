// BFDCommands: `vtepctl show bfd`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addBFDCommands(to commands: inout ControlCommands) {
    commands.add(ShowBFD.self, handle)
  }

  func handle(_ request: ShowBFD) async throws(ControlError) -> Page<BFDRow> {
    Self.page(try running().running.bfdReports(), request).map(BFDRow.init)
  }
}

extension BFDRow {
  init(_ report: BFDReport) {
    self.init(
      address: "\(report.address)", state: report.state.name, forwarding: report.isForwarding, diagnostic: report.diagnostic.text,
      remoteState: report.remoteState.name, remoteDiagnostic: report.remoteDiagnostic.text, form: report.settings.form.rawValue,
      vni: report.vni.rawValue, discriminator: report.discriminator,
      remoteDiscriminator: report.remoteDiscriminator, transmitMilliseconds: report.transmitMicroseconds.map { Double($0) / 1000 },
      detectionMilliseconds: Double(report.detectionMicroseconds) / 1000, flaps: report.counts.flaps, sinceSeconds: report.sinceSeconds,
      txPackets: report.counts.packetsSent, rxPackets: report.counts.packetsReceived, wrongKeys: report.counts.wrongKeys)
  }
}
