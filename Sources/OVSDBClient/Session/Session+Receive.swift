// Session+Receive: the peer's messages: answers, updates and requests.

extension Session {
  /// Takes the bytes of one read.
  public mutating func receive(_ bytes: some Sequence<UInt8>, now: ContinuousClock.Instant) -> [SessionEvent] {
    guard isOpen else { return [] }
    lastHeard = now
    probed = nil
    var events: [SessionEvent] = []
    framer.append(bytes)
    do {
      while isOpen, let range = try framer.next() {
        let received = framer.bytes
        try handle(received.span.bytes.extracting(range), &events)
      }
    } catch let error as JSONError {
      fail(.json(error), &events)
    } catch {
      fail(error as? OVSDBError ?? .malformed("\(error)"), &events)
    }
    return events
  }

  private mutating func handle(_ text: RawSpan, _ events: inout [SessionEvent]) throws {
    switch try RPCMessage(text, limits: configuration.limits) {
    case .reply(let id, let result, let error):
      // An answer without a matching request is ignored, as in Open vSwitch.
      guard case .integer(let number) = id, let subject = pending.removeValue(forKey: number) else { return }
      try handleReply(RequestID(number: number), subject, text, result, error, &events)
    case .request(let id, let method, let parameters):
      // An echo is answered at once, in every state.
      guard method == "echo" else {
        output += RPCMessage.encodeReply(id: id, result: .null, error: "unknown method")
        return
      }
      output += RPCMessage.encodeReply(id: id, result: try value(text, parameters))
    case .notification(let method, let parameters):
      try handleNotification(method, text, parameters, &events)
    }
  }

  /// A part of the message as a tree; null if it is missing.
  func value(_ text: RawSpan, _ position: Int?) throws -> JSONValue {
    guard let position else { return .null }
    var reader = JSONReader(text, at: position, depth: configuration.limits.depth)
    return try reader.value()
  }

  private mutating func handleNotification(_ method: String, _ text: RawSpan, _ parameters: Int?, _ events: inout [SessionEvent]) throws {
    switch method {
    case "update", "update2", "update3":
      guard let parameters else { throw OVSDBError.malformed("\(method) without params") }
      try handleUpdate(method, text, parameters, &events)
    case "locked", "stolen":
      guard let name = try value(text, parameters).elements?.first?.text else { throw OVSDBError.malformed("\(method) without a lock") }
      setLock(name, isHeld: method == "locked", &events)
    case "monitor_canceled" where try value(text, parameters).elements?.first == Self.monitorID:
      // The database was removed or converted: fetch everything again, on the same connection.
      replica?.lastTransaction = .zero
      phase = .waiting
      proceed(&events)
    default: events.append(.notification(method: method, try value(text, parameters)))
    }
  }

  mutating func setLock(_ name: String, isHeld: Bool, _ events: inout [SessionEvent]) {
    guard let before = locks[name], before != isHeld else { return }
    locks[name] = isHeld
    events.append(.lock(name, isHeld: isHeld))
  }

  private mutating func handleReply(
    _ id: RequestID, _ subject: Pending, _ text: RawSpan, _ result: Int?, _ error: JSONValue, _ events: inout [SessionEvent]
  ) throws {
    let refusal = error == .null ? nil : error
    switch subject {
    case .serverSchema: try handleServerSchema(text, refusal == nil ? result : nil, &events)
    case .serverMonitor: try handleServerMonitor(text, refusal == nil ? result : nil, &events)
    case .schema:
      if let refusal { throw Self.refused("get_schema \(configuration.database)", refusal) }
      try handleSchema(try value(text, result))
    case .monitor(let method):
      guard refusal == nil, let result else { return try handleRefusedMonitor(method, refusal ?? .null) }
      try handleMonitor(method, text, result, &events)
    case .transaction(let operations):
      guard refusal == nil, let result, let schema = replica?.schema else {
        events.append(.transaction(id, .failure(Self.refused("transact", refusal ?? "no result"))))
        return
      }
      var reader = JSONReader(text, at: result, depth: configuration.limits.depth)
      let outcome = try reader.results(of: operations, schema: schema)
      events.append(.transaction(id, outcome.mapError(OVSDBError.transaction)))
    case .lock(let name):
      if let refusal {
        events.append(.reply(id, .failure(Self.refused("lock \(name)", refusal))))
        return
      }
      setLock(name, isHeld: try value(text, result)["locked"] == true, &events)
    case .other(let request):
      if let refusal {
        events.append(.reply(id, .failure(Self.refused(request.method, refusal))))
      } else {
        events.append(.reply(id, .success(try value(text, result))))
      }
    case .ignored: break
    }
  }

  /// The server's error: a string, or an object as in RFC 7047 §3.1.
  static func refused(_ method: String, _ error: JSONValue) -> OVSDBError {
    .refused(method: method, error: error.text ?? error["error"]?.text ?? error.description, details: error["details"]?.text)
  }
}
