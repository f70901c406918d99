// NeighborSuppression: whether requests for neighbours are answered here (`vnis[].neighbor-suppression`, docs/decisions/0046).

/// What becomes of ARP requests and neighbour solicitations that would be flooded.
public enum NeighborSuppression: String, Sendable, CaseIterable {
  /// They are flooded.
  case off
  /// Those for known addresses are answered here and not flooded.
  case known
}
