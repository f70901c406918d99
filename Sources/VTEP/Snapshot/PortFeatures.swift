// PortFeatures: everything out of the ordinary about a port. One word, tested once per frame or burst, so that ordinary
// ports pay nothing for it.

struct PortFeatures: OptionSet {
  let rawValue: UInt32

  /// Frames may arrive with requests to complete a checksum, or to cut a large TCP segment or a train of UDP datagrams (OffloadRequest).
  static let offersOffloads = PortFeatures(rawValue: 1 << 1)
  /// The port accepts frames with partial checksums, and large TCP segments over IPv4 and IPv6.
  static let takesUnfinished = PortFeatures(rawValue: 1 << 2)
  static let takesSegmentsIPv4 = PortFeatures(rawValue: 1 << 3)
  static let takesSegmentsIPv6 = PortFeatures(rawValue: 1 << 4)
  /// The port accepts trains of UDP datagrams, over IPv4 and IPv6.
  static let takesSegmentsUDP = PortFeatures(rawValue: 1 << 9)

  static let takesSegments: PortFeatures = [.takesSegmentsIPv4, .takesSegmentsIPv6]

  /// Bursts from the port go through `Worker.policeBurst`.
  static let isPoliced = PortFeatures(rawValue: 1 << 5)
  /// Received frames need one of these checks, or several.
  static let checksReceived: PortFeatures = [.offersOffloads, .isPoliced]
  /// The port reaches only the overlay and ports that are not isolated.
  static let isIsolated = PortFeatures(rawValue: 1 << 7)
  /// The untagged binding's VNI carries tags, and some VLANs have their own bindings: frames for the former must not enter the
  /// latter.
  static let guardsVLANs = PortFeatures(rawValue: 1 << 8)
  /// A binding has an access control list with egress entries.
  static let filtersEgress = PortFeatures(rawValue: 1 << 14)
  /// Each frame for the untagged binding must be looked at.
  static let inspectsEach: PortFeatures = [.guardsVLANs, .filtersEgress]
  /// Frames for the untagged binding must be checked.
  static let inspectsDelivered: PortFeatures = [.takesSegmentsIPv4, .takesSegmentsIPv6, .guardsVLANs, .filtersEgress]

  /// Batches to the port go through `Worker.limitEgress`.
  static let limitsEgress = PortFeatures(rawValue: 1 << 6)

  /// The NIC of an uplink completes checksums of TCP segments and UDP datagrams, cuts large TCP segments, and says of received packets
  /// whether their UDP checksum is right (NICOffloads).
  static let completesTCP = PortFeatures(rawValue: 1 << 10)
  static let completesUDP = PortFeatures(rawValue: 1 << 11)
  static let cutsTCP = PortFeatures(rawValue: 1 << 12)
  static let verifiesUDP = PortFeatures(rawValue: 1 << 13)
  /// It does the same with frames inside VXLAN, whose tunnel the request names (`NICOffloads.namesTunnels`) or not.
  static let completesInner = PortFeatures(rawValue: 1 << 19)
  static let cutsInner = PortFeatures(rawValue: 1 << 20)
  static let namesTunnels = PortFeatures(rawValue: 1 << 21)

  /// Link-local control frames are tunnelled through the VNI, in both directions.
  static let tunnelsControl = PortFeatures(rawValue: 1 << 16)
  /// Link-local control frames go to a kernel tap.
  static let puntsControl = PortFeatures(rawValue: 1 << 17)
  /// A BPDU shuts the port.
  static let guardsBPDU = PortFeatures(rawValue: 1 << 18)
}
