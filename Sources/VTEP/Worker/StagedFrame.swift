// StagedFrame: what one pass over a burst finds out about a frame for later passes. A frame that a pass drops or takes out of the burst
// leaves nil in `Worker.frames`, and later passes skip it.

import Encap
import MACTable

/// A frame's state between the passes over a burst.
struct StagedFrame {
  var sourceKey = MACKey(domain: 0, mac: .zero)
  var destinationKey = MACKey(domain: 0, mac: .zero)
  var destinationHash: UInt64 = 0
  /// Where the source was seen; `noLocation`: do not learn.
  var seenAt = StagedFrame.noLocation
  /// What becomes of it, from the look-up on.
  var verdict = Verdict.drop(.runtFrame)

  static let noLocation = MACLocation(raw: .max)
}
