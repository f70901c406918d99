// VirtioFeatures: names of the features negotiated with a guest driver.

/// Names of virtio-net's feature bits (VIRTIO 1.2, 5.1.3 and 6).
enum VirtioFeatures {
  static let guestChecksum: UInt64 = 1 << 1
  static let guestTSO4: UInt64 = 1 << 7
  static let guestTSO6: UInt64 = 1 << 8
  /// The checksum and segmentation bits: CSUM, GUEST_CSUM, GUEST_TSO4 to GUEST_UFO, HOST_TSO4 to HOST_UFO.
  static let offloads: UInt64 = 0b11 | 0b1111 << 7 | 0b1111 << 11

  private static let bits: [(bit: UInt64, name: String)] = [
    (0, "csum"), (1, "guest-csum"), (3, "mtu"), (5, "mac"), (7, "guest-tso4"), (8, "guest-tso6"), (9, "guest-ecn"),
    (10, "guest-ufo"), (11, "host-tso4"), (12, "host-tso6"), (13, "host-ecn"), (14, "host-ufo"), (15, "mrg-rxbuf"),
    (16, "status"), (17, "ctrl-vq"), (18, "ctrl-rx"), (19, "ctrl-vlan"), (21, "guest-announce"), (22, "mq"),
    (23, "ctrl-mac-addr"), (28, "indirect-desc"), (29, "event-idx"), (32, "version-1"), (33, "iommu-platform"),
    (34, "packed-ring"), (35, "in-order"),
  ]

  static func names(_ features: UInt64) -> [String] {
    bits.filter { features >> $0.bit & 1 != 0 }.map(\.name)
  }
}
