// StagedFrame: what one pass over a burst finds out about a frame for later passes. A frame that a pass drops or takes out of the burst
// leaves nil in `Worker.frames`, and later passes skip it.

import Encap
import MACTable

/// A frame's state between the passes over a burst.
struct StagedFrame {
  var destinationKey = MACKey(domain: 0, mac: .zero)
  /// Of the destination; nil until the frame has passed all checks.
  var destinationBucket: MACBucket?
  /// Only of a frame whose source must be looked up, or whose port has limits.
  var sourceKey = MACKey(domain: 0, mac: .zero)
  /// Where the source was seen; `noLocation`: do not learn.
  var seenAt = StagedFrame.noLocation

  static let noLocation = MACLocation(raw: .max)
}

/// A frame whose source must be looked up.
struct UnsightedFrame {
  /// In the burst.
  var position: Int
  /// Of its source; nil: the frame needs nothing if `sighting` is present, which has not been looked at.
  var bucket: MACBucket?
  var sighting: Sightings.Pair
}

extension MACLookup {
  /// Its location; of a miss `noLocation`.
  @inline(always)
  var place: MACLocation { isHit ? location : StagedFrame.noLocation }
}
