// PortOffloads: whether a guest may leave checksums and segmentation to us and be given frames of which it takes care
// itself; and which of it a guest's driver has agreed to (virtio 1.1 section 5.1.3).

/// What the operator wants of offloads at a port.
public enum PortOffloads: String, Sendable, CaseIterable {
  /// What the guest's driver can.
  case auto
  /// No large segments from the guest, and nothing but finished frames of ordinary size to it.
  case off
}

extension PortFeatures {
  /// What a guest with these virtio-net features takes.
  init(negotiated features: UInt64) {
    self = []
    guard features & VirtioFeatures.guestChecksum != 0 else { return }
    insert(.takesUnfinished)
    if features & VirtioFeatures.guestTSO4 != 0 { insert(.takesSegmentsIPv4) }
    if features & VirtioFeatures.guestTSO6 != 0 { insert(.takesSegmentsIPv6) }
  }
}
