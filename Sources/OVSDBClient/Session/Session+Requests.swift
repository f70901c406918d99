// Session+Requests: the owner's requests.

extension Session {
  /// Sends a transaction. The answer arrives as `.transaction`, also if the connection ends first.
  ///
  /// - Throws: `notConnected` unless the replica is ready; nothing is sent then.
  public mutating func transact(_ operations: [OVSDBOperation]) throws(OVSDBError) -> RequestID {
    guard isReady else { throw .notConnected("database \(configuration.database) is not replicated yet") }
    return request(.transact(database: configuration.database, operations), .transaction(operations))
  }

  /// Cancels a waiting transaction (RFC 7047 §4.1.4). It is still answered: with `canceled`, or as if it had not been cancelled.
  public mutating func cancel(_ id: RequestID) {
    guard isOpen, pending[id.number] != nil else { return }
    output += RPCMessage.encodeCancel(id: id.number)
  }

  /// Sends any request. The answer arrives as `.reply`.
  ///
  /// - Throws: `notConnected` if there is no connection; nothing is sent then.
  public mutating func send(_ other: OVSDBRequest) throws(OVSDBError) -> RequestID {
    guard isOpen else { throw .notConnected("there is no connection for \(other.method)") }
    return request(other, .other(other))
  }

  /// Requests a lock, now and on every connection, until `unlock`. `.lock` reports when it is ours, `.reply` if the server refuses
  /// the request.
  ///
  /// - Parameter steal: takes it from its owner. On later connections we queue for it.
  public mutating func lock(_ name: String, steal: Bool = false) {
    if locks[name] == nil { locks[name] = false }
    if isOpen { request(steal ? .steal(name) : .lock(name), .lock(name)) }
  }

  /// Releases the lock and stops requesting it.
  public mutating func unlock(_ name: String) {
    guard locks.removeValue(forKey: name) != nil, isOpen else { return }
    request(.unlock(name), .ignored)
  }
}
