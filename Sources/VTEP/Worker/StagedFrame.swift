// StagedFrame: what one pass over a burst finds out about a frame for later passes.

import MACTable

/// A frame's state between the passes over a burst.
struct StagedFrame {
  var sourceKey = MACKey(domain: 0, mac: .zero)
  var destinationKey = MACKey(domain: 0, mac: .zero)
  var destinationHash: UInt64 = 0
  /// Where the source was seen; `noLocation`: do not learn.
  var seenAt = StagedFrame.noLocation

  static let noLocation = MACLocation(raw: .max)
}
