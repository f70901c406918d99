// Session+Requests: what the owner of a session asks for.

extension Session {
  /// Sends a transaction. The answer comes as `.transaction`; when the connection ends before it, that says so.
  ///
  /// - Throws: `notConnected` unless the replica is ready; nothing is sent then.
  public mutating func transact(_ operations: [OVSDBOperation]) throws(OVSDBError) -> RequestID {
    guard isReady else { throw .notConnected("database \(configuration.database) is not replicated yet") }
    return request(.transact(database: configuration.database, operations), .transaction(operations))
  }

  /// Gives a transaction up that waits (RFC 7047 §4.1.4). It is still answered: with `canceled`, or as if nothing had been said.
  public mutating func cancel(_ id: RequestID) {
    guard isOpen, pending[id.number] != nil else { return }
    output += RPCMessage.encodeCancel(id: id.number)
  }

  /// Sends any request. The answer comes as `.reply`.
  ///
  /// - Throws: `notConnected` when there is no connection; nothing is sent then.
  public mutating func send(_ other: OVSDBRequest) throws(OVSDBError) -> RequestID {
    guard isOpen else { throw .notConnected("there is no connection to ask \(other.method)") }
    return request(other, .other(other))
  }

  /// Wants a lock, from now on and at every connection, until `unlock`. `.lock` tells when it is ours, `.reply` if the
  /// server refuses to have us in line.
  ///
  /// - Parameter steal: Takes it from whoever has it. At later connections we stand in line.
  public mutating func lock(_ name: String, steal: Bool = false) {
    if locks[name] == nil { locks[name] = false }
    if isOpen { request(steal ? .steal(name) : .lock(name), .lock(name)) }
  }

  /// Does not want the lock any more.
  public mutating func unlock(_ name: String) {
    guard locks.removeValue(forKey: name) != nil, isOpen else { return }
    request(.unlock(name), .ignored)
  }
}
