// CaptureCommands: `vtepctl capture`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addCaptureCommands(to commands: inout ControlCommands) {
    commands.add(StartCapture.self, handle)
    commands.add(ReadCapture.self, handle)
  }

  func handle(_ request: StartCapture) async throws(ControlError) -> ChangeAnswer {
    let vni = try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }
    let snapLength = request.snaplen ?? 262_144
    guard (1...262_144).contains(snapLength) else {
      throw ControlError(.invalidParameters, "snaplen: must be from 1 to 262144, not \(snapLength)")
    }
    guard let client = ClientScope.current else { throw ControlError(.internalError, "a capture needs a client") }
    let reconciler = try running()
    do {
      // The filter may name hosts, and the workers must have seen the end of the last capture.
      let capture = try await onThread {
        let settings = CaptureSettings(
          filter: try PacketFilter(request.filter), port: request.port, vni: vni, onlyDrops: request.drops ?? false,
          snapLength: snapLength)
        return try reconciler.startCapture(settings)
      }
      guard client.begin(CaptureSession(capture, filter: request.filter, snapLength: snapLength)) else {
        throw ControlError(.refused, "this connection has a capture already")
      }
    } catch let fault as PacketFilter.Fault {
      throw ControlError(.invalidParameters, "filter: \(fault) (see pcap-filter(7))")
    } catch {
      throw Self.refusal(error)
    }
    return ChangeAnswer(changed: true)
  }

  /// Not on the actor: it waits for packets.
  nonisolated func handle(_ request: ReadCapture) async throws(ControlError) -> CaptureBlocks {
    guard let client = ClientScope.current, let capture = client.capture else {
      throw ControlError(.refused, "this connection has no capture")
    }
    let names = try await running().running.captureNames
    let blocks = await capture.read(limit: request.limit, stop: request.stop ?? false, names: names)
    if blocks.isOver { client.endCapture() }
    return blocks
  }
}
