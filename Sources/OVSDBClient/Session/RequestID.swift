// RequestID: matches answers to outstanding requests.

/// A request that was sent in a session.
public struct RequestID: Sendable, Hashable {
  /// The `id` member of the message.
  let number: Int64
}
