// ControlDispatcher: turns a request line into an answer line: reads the envelope, finds the command, and converts every failure
// to a JSON-RPC error. Knows nothing about sockets.

import FoundationEssentials
import Glibc
import VTEPControl

/// Answers the request lines of one client with the help of a handler.
struct ControlDispatcher: Sendable {
  let handler: any ControlHandler
  /// The client, and what it may do.
  let user: uid_t
  let access: ControlAccess

  /// The answer to one line, newline included; nil for a notification.
  func answer(to line: Data) async -> Data? {
    let incoming: JSONRPC.Incoming
    do throws(JSONRPC.Failure) {
      incoming = try JSONRPC.Incoming(line: line)
    } catch {
      return Self.refusal(error.error, id: error.id)
    }
    let answer = await answer(to: incoming, id: incoming.id ?? .null)
    return incoming.id == nil ? nil : answer
  }

  /// A refusal; without an identifier it belongs to no request.
  static func refusal(_ error: ControlError, id: JSONRPC.Identifier = .null) -> Data {
    let bare = #"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"cannot encode the error"}}"#
    return (try? line(JSONRPC.Failure(id: id, error: error))) ?? Data((bare + "\n").utf8)
  }

  private func answer(to incoming: JSONRPC.Incoming, id: JSONRPC.Identifier) async -> Data {
    do throws(ControlError) {
      switch incoming.method {
      case GetStatus.method: return try await run(incoming, id, GetStatus.self, handler.handle)
      case ShowMACTable.method: return try await page(incoming, id, ShowMACTable.self, handler.handle)
      case ShowMACMoves.method: return try await page(incoming, id, ShowMACMoves.self, handler.handle)
      case ShowVNIs.method: return try await page(incoming, id, ShowVNIs.self, handler.handle)
      case ShowVTEPs.method: return try await page(incoming, id, ShowVTEPs.self, handler.handle)
      case ShowPorts.method: return try await run(incoming, id, ShowPorts.self, handler.handle)
      case ShowBindings.method: return try await page(incoming, id, ShowBindings.self, handler.handle)
      case ShowDrops.method: return try await run(incoming, id, ShowDrops.self, handler.handle)
      case ShowMulticast.method: return try await run(incoming, id, ShowMulticast.self, handler.handle)
      case ShowUnderlay.method: return try await run(incoming, id, ShowUnderlay.self, handler.handle)
      case ShowWorkers.method: return try await run(incoming, id, ShowWorkers.self, handler.handle)
      case ShowOVSDB.method: return try await run(incoming, id, ShowOVSDB.self, handler.handle)
      case ShowTransactions.method: return try await run(incoming, id, ShowTransactions.self, handler.handle)
      case ReleaseHold.method: return try await run(incoming, id, ReleaseHold.self, handler.handle)
      case AddMAC.method: return try await run(incoming, id, AddMAC.self, handler.handle)
      case DeleteMAC.method: return try await run(incoming, id, DeleteMAC.self, handler.handle)
      case FlushMACs.method: return try await run(incoming, id, FlushMACs.self, handler.handle)
      case AddVNI.method: return try await run(incoming, id, AddVNI.self, handler.handle)
      case SetVNI.method: return try await run(incoming, id, SetVNI.self, handler.handle)
      case DeleteVNI.method: return try await run(incoming, id, DeleteVNI.self, handler.handle)
      case AddPeer.method: return try await run(incoming, id, AddPeer.self, handler.handle)
      case DeletePeer.method: return try await run(incoming, id, DeletePeer.self, handler.handle)
      case AddPort.method: return try await run(incoming, id, AddPort.self, handler.handle)
      case SetPort.method: return try await run(incoming, id, SetPort.self, handler.handle)
      case PreparePort.method: return try await run(incoming, id, PreparePort.self, handler.handle)
      case DeletePort.method: return try await run(incoming, id, DeletePort.self, handler.handle)
      case AddBinding.method: return try await run(incoming, id, AddBinding.self, handler.handle)
      case DeleteBinding.method: return try await run(incoming, id, DeleteBinding.self, handler.handle)
      case CheckConfiguration.method: return try await run(incoming, id, CheckConfiguration.self, handler.handle)
      case ApplyConfiguration.method: return try await run(incoming, id, ApplyConfiguration.self, handler.handle)
      case ShowConfiguration.method: return try await run(incoming, id, ShowConfiguration.self, handler.handle)
      default: throw ControlError(.methodNotFound, "there is no command '\(incoming.method)'")
      }
    } catch {
      return Self.refusal(error, id: id)
    }
  }

  private func run<Request: ControlRequest>(
    _ incoming: JSONRPC.Incoming, _ id: JSONRPC.Identifier, _ type: Request.Type,
    _ body: (Request) async throws(ControlError) -> Request.Answer
  ) async throws(ControlError) -> Data {
    try Self.line(JSONRPC.Success(id: id, result: try await body(parameters(of: incoming))))
  }

  private func page<Request: PagedRequest>(
    _ incoming: JSONRPC.Incoming, _ id: JSONRPC.Identifier, _ type: Request.Type,
    _ body: (Request) async throws(ControlError) -> Request.Answer
  ) async throws(ControlError) -> Data {
    var request: Request = try parameters(of: incoming)
    request.limit = min(max(request.limit ?? ControlLimits.pageRowCount, 1), ControlLimits.pageRowCount)
    return try Self.line(JSONRPC.Success(id: id, result: try await body(request)))
  }

  /// - Throws: `permissionDenied`, or as `JSONRPC.Incoming.parameters`.
  private func parameters<Request: ControlRequest>(of incoming: JSONRPC.Incoming) throws(ControlError) -> Request {
    guard Request.access <= access else {
      throw ControlGroups.refusal(Request.method, needs: Request.access, user: user)
    }
    return try incoming.parameters(as: Request.self)
  }

  private static func line(_ message: some Encodable) throws(ControlError) -> Data {
    do {
      return try JSONRPC.line(message)
    } catch {
      throw ControlError(.internalError, "cannot encode the answer: \(error)")
    }
  }
}
