// ControlClient: asks the daemon over its control socket, one command at a time. Used by vtepctl and by tests.

import FoundationEssentials

/// A connection to the daemon.
public struct ControlClient: ~Copyable {
  private var stream: UnixStream
  private let timeoutSeconds: Double
  private var lastIdentifier: Int64 = 0

  /// Connects to the control socket.
  ///
  /// - Parameter timeoutSeconds: the time each command may take, each page of a long answer counting as one.
  /// - Throws: `unreachable`.
  public init(socketPath: String, timeoutSeconds: Double) throws(ControlClientError) {
    stream = try UnixStream(connectingTo: socketPath, timeoutSeconds: timeoutSeconds)
    self.timeoutSeconds = timeoutSeconds
  }

  /// Sends a command and waits for its answer.
  ///
  /// - Throws: `refused` when the daemon refuses; after any other error the connection is unusable.
  public mutating func send<Request: ControlRequest>(_ request: Request) throws(ControlClientError) -> Request.Answer {
    try read(exchange(request), as: Request.Answer.self, method: Request.method)
  }

  /// Sends a command and waits for the line of its answer.
  private mutating func exchange<Request: ControlRequest>(_ request: Request) throws(ControlClientError) -> Data {
    lastIdentifier += 1
    let identifier = JSONRPC.Identifier.number(lastIdentifier)
    let deadline = Deadline(seconds: timeoutSeconds)
    let method = Request.method
    let line: Data
    do {
      line = try JSONRPC.line(JSONRPC.Request(id: identifier, method: method, params: request))
    } catch {
      throw .refused(ControlError(.invalidParameters, "cannot encode \(method): \(error)"))
    }
    guard line.count <= ControlLimits.requestByteCount else {
      throw .refused(ControlError(.invalidParameters, "longer than the \(ControlLimits.requestByteCount) bytes that the daemon accepts"))
    }
    do {
      try stream.write(line, method: method, deadline: deadline)
    } catch .unreachable(let operation, let path, let code) {
      // A daemon that refuses a client says why before it closes; that line is more helpful than "broken pipe".
      guard let farewell = try? stream.readLine(method: method, deadline: deadline) else {
        throw .unreachable(operation: operation, path: path, code: code)
      }
      return farewell
    }
    return try stream.readLine(method: method, deadline: deadline)
  }

  /// Reads a long answer page by page; `body` gets each page's rows, and returns whether to continue.
  ///
  /// - Throws: as `send`.
  public mutating func forEachPage<Request: PagedRequest>(
    of request: Request, _ body: ([Request.Row]) -> Bool
  ) throws(ControlClientError) {
    try walk(request, body) { (client, line) throws(ControlClientError) in
      let page = try client.read(line, as: Request.Answer.self, method: Request.method)
      return (page.rows, page.next)
    }
  }

  /// As `forEachPage`, with rows as the daemon wrote them: JSON, undecoded.
  ///
  /// - Throws: as `send`.
  public mutating func forEachPageOfText<Request: PagedRequest>(
    of request: Request, _ body: ([Data]) -> Bool
  ) throws(ControlClientError) {
    try walk(request, body) { (client, line) throws(ControlClientError) in
      let page = try client.read(line, as: PageEnd.self, method: Request.method)
      let rows: [Data]? = line.withUnsafeBytes { text in
        var scanner = JSONScanner(text)
        guard scanner.enterMember("result"), scanner.enterMember("rows") else { return nil }
        return scanner.elements()?.map { Data(text[$0]) }
      }
      guard let rows else { throw .malformedAnswer(method: Request.method, reason: "there are no rows") }
      return (rows, page.next)
    }
  }

  /// Asks for page after page.
  ///
  /// - Parameter rows: the rows of an answer's line, and the cursor of the next page.
  private mutating func walk<Request: PagedRequest, Row>(
    _ request: Request, _ body: ([Row]) -> Bool,
    _ rows: (borrowing ControlClient, Data) throws(ControlClientError) -> ([Row], next: UInt64?)
  ) throws(ControlClientError) {
    var request = request
    while true {
      let line = try exchange(request)
      let page = try rows(self, line)
      guard body(page.0), let next = page.next else { return }
      guard next != request.cursor else {
        throw .malformedAnswer(method: Request.method, reason: "page \(next) follows itself")
      }
      request.cursor = next
    }
  }

  /// What follows a page whose rows are not decoded.
  private struct PageEnd: Decodable {
    var next: UInt64?
  }

  private func read<Answer: Decodable>(
    _ line: Data, as type: Answer.Type, method: String
  ) throws(ControlClientError) -> Answer {
    let response: JSONRPC.Response<Answer>
    do {
      response = try JSONDecoder().decode(JSONRPC.Response<Answer>.self, from: line)
    } catch {
      throw .malformedAnswer(method: method, reason: "\(error)")
    }
    if let error = response.error { throw .refused(error) }
    guard response.id == .number(lastIdentifier), let result = response.result else {
      throw .malformedAnswer(method: method, reason: "neither a result nor an error for this request")
    }
    return result
  }
}
