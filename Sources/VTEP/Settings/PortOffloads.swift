// PortOffloads: whether guests may use checksum and segmentation offloads, in either direction, and which of them a guest
// driver has negotiated (virtio 1.1 section 5.1.3).

/// The setting `offloads`.
public enum PortOffloads: String, Sendable, CaseIterable {
  /// Whatever the guest driver supports.
  case auto
  /// No offloads: the guest sends no large segments and receives only complete frames of ordinary size.
  case off
}

extension PortFeatures {
  /// The offloads that a guest with these virtio-net features accepts.
  init(negotiated features: UInt64) {
    self = []
    guard features & VirtioFeatures.guestChecksum != 0 else { return }
    insert(.takesUnfinished)
    if features & VirtioFeatures.guestTSO4 != 0 { insert(.takesSegmentsIPv4) }
    if features & VirtioFeatures.guestTSO6 != 0 { insert(.takesSegmentsIPv6) }
  }
}
