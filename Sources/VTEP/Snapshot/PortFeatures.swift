// PortFeatures: what is out of the ordinary about a port. One word, tested once per frame or burst, so that ordinary
// ports pay nothing for it.

struct PortFeatures: OptionSet {
  let rawValue: UInt32

  /// Frames may arrive with checksums that their sender left to hardware, without a word about it (UnfinishedChecksum).
  static let finishesChecksums = PortFeatures(rawValue: 1 << 0)
  /// Frames may arrive with requests to finish a checksum or to cut up a large TCP segment (OffloadRequest).
  static let offersOffloads = PortFeatures(rawValue: 1 << 1)
  /// The port takes frames with unfinished checksums, and large TCP segments over IPv4 and IPv6, as they are.
  static let takesUnfinished = PortFeatures(rawValue: 1 << 2)
  static let takesSegmentsIPv4 = PortFeatures(rawValue: 1 << 3)
  static let takesSegmentsIPv6 = PortFeatures(rawValue: 1 << 4)

  static let takesSegments: PortFeatures = [.takesSegmentsIPv4, .takesSegmentsIPv6]
  /// A received frame has to be looked at for checksums, requests and BPDUs.
  static let inspectsReceived: PortFeatures = [.finishesChecksums, .offersOffloads, .guardsBPDU]

  /// Bursts from the port go through `Worker.police`.
  static let isPoliced = PortFeatures(rawValue: 1 << 5)
  /// The port reaches only the overlay and ports that are not isolated.
  static let isIsolated = PortFeatures(rawValue: 1 << 7)
  /// The untagged binding's VNI carries tags, and some VLANs have bindings of their own: frames for the former must not enter
  /// the latter.
  static let guardsVLANs = PortFeatures(rawValue: 1 << 8)
  /// A frame for the untagged binding has to be looked at.
  static let inspectsDelivered: PortFeatures = [.takesSegmentsIPv4, .takesSegmentsIPv6, .guardsVLANs]

  /// Batches to the port go through `Worker.limitEgress`.
  static let limitsEgress = PortFeatures(rawValue: 1 << 6)

  /// Link-local control frames enter the VNI, and are taken out of it.
  static let tunnelsControl = PortFeatures(rawValue: 1 << 16)
  /// Link-local control frames go to a kernel tap.
  static let puntsControl = PortFeatures(rawValue: 1 << 17)
  /// A BPDU shuts the port.
  static let guardsBPDU = PortFeatures(rawValue: 1 << 18)
}
