// Discrepancy: something that is not as it should be: what `vtepctl verify` finds.

/// A difference between what is intended and what there is.
public struct Discrepancy: Hashable, Sendable {
  public enum Place: String, Sendable, CaseIterable {
    /// The records, the snapshot's model and the MAC table.
    case dataPlane = "data-plane"
    /// Interfaces, sockets, groups, routes, neighbours.
    case kernel
    /// The controller's.
    case database
  }

  public var place: Place
  /// What it is about, for example `port vm1`.
  public var subject: String
  public var intended: String
  public var actual: String

  public init(_ place: Place, _ subject: String, intended: String, actual: String) {
    self.place = place
    self.subject = subject
    self.intended = intended
    self.actual = actual
  }
}
