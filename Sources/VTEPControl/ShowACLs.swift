// ShowACLs: `vtepctl show acls`: the access control lists in force, with a counter for each entry.

public struct ShowACLs: ControlRequest {
  public typealias Answer = [ACLRow]
  public static let method = "show.acls"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Nil: all.
  public var name: String?

  public init(name: String? = nil) {
    self.name = name
  }

  enum CodingKeys: CodingKey, CaseIterable { case name }
}

public struct ACLRow: Codable, Equatable, Sendable {
  /// Where a list is bound.
  public struct Binding: Codable, Equatable, Sendable {
    public var port: String
    /// Nil: all VLANs without a list of their own, and untagged frames.
    @Nullable public var vlan: UInt16?

    public init(port: String, vlan: UInt16?) {
      self.port = port
      self.vlan = vlan
    }
  }

  /// A router's interface that has the list.
  public struct RouterBinding: Codable, Equatable, Sendable {
    public var router: String
    public var vni: UInt32

    public init(router: String, vni: UInt32) {
      self.router = router
      self.vni = vni
    }
  }

  /// An entry, in the order in which they are asked.
  public struct Entry: Codable, Equatable, Sendable {
    /// Nil: of frames of this direction that no entry matches.
    @Nullable public var sequence: Int64?
    public var direction: String
    public var action: String
    /// By the keys of the configuration file.
    public var matches: [String: String]
    /// The same on one line.
    public var text: String
    public var packets: UInt64
    public var bytes: UInt64

    public init(
      sequence: Int64?, direction: String, action: String, matches: [String: String], text: String, packets: UInt64, bytes: UInt64
    ) {
      self.sequence = sequence
      self.direction = direction
      self.action = action
      self.matches = matches
      self.text = text
      self.packets = packets
      self.bytes = bytes
    }
  }

  public var name: String
  public var source: VNIRow.Source
  public var bindings: [Binding]
  public var routers: [RouterBinding]
  public var entries: [Entry]

  public init(name: String, source: VNIRow.Source, bindings: [Binding], routers: [RouterBinding], entries: [Entry]) {
    self.name = name
    self.source = source
    self.bindings = bindings
    self.routers = routers
    self.entries = entries
  }
}
