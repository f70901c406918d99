// RequestID: tells the answers to several outstanding requests apart.

/// A request that was sent in a session.
public struct RequestID: Sendable, Hashable {
  /// The `id` member of the message.
  let number: Int64
}
