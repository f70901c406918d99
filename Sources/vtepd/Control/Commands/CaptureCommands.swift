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
      let settings = CaptureSettings(
        filter: try await packetFilter(request.filter), port: request.port, vni: vni, onlyDrops: request.drops ?? false,
        snapLength: snapLength)
      // The workers must have seen the end of the last capture.
      let capture = try await onThread { try reconciler.startCapture(settings) }
      guard client.begin(CaptureSession(capture, filter: request.filter, snapLength: snapLength)) else {
        throw ControlError(.refused, "this connection has a capture already")
      }
    } catch {
      throw Self.refusal(error)
    }
    return ChangeAnswer(changed: true)
  }

  /// Compiles a filter in libpcap's language, on a thread that may wait: it may name hosts.
  func packetFilter(_ text: String) async throws -> PacketFilter {
    do {
      return try await onThread { try PacketFilter(text) }
    } catch let fault as PacketFilter.Fault {
      throw ControlError(.invalidParameters, "filter: \(fault) (see pcap-filter(7))")
    }
  }

  /// Not on the actor: it waits for packets.
  nonisolated func handle(_ request: ReadCapture) async throws(ControlError) -> CaptureBlocks {
    guard let client = ClientScope.current, let capture = client.capture else {
      throw ControlError(.refused, "this connection has no capture")
    }
    let names = try await running().running.captureNames
    do {
      let blocks = try await capture.read(limit: request.limit, stop: request.stop ?? false, names: names)
      if blocks.isOver { client.endCapture() }
      return blocks
    } catch {
      throw Self.refusal(error)
    }
  }
}
