// ShowMulticast: `vtepctl show multicast`, the groups that VNIs are flooded to and whether the kernel has joined them.

/// Asks for all multicast groups.
public struct ShowMulticast: ControlRequest {
  public typealias Answer = [MulticastRow]
  public static let method = "show.multicast"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One group on one underlay interface.
public struct MulticastRow: Codable, Equatable, Sendable {
  public var group: String
  /// VNIs that share the group.
  public var vnis: [UInt32]
  /// Underlay interface that the group is joined on.
  public var interface: String
  /// What the kernel has.
  public var joined: Bool
  /// Why it is not joined.
  @Nullable public var error: String?

  public init(group: String, vnis: [UInt32], interface: String, joined: Bool, error: String? = nil) {
    self.group = group
    self.vnis = vnis
    self.interface = interface
    self.joined = joined
    self.error = error
  }

  enum CodingKeys: CodingKey { case group, vnis, interface, joined, error }
}
