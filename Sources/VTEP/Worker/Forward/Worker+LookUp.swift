// Worker+LookUp: decides where a frame goes. Steps E4 and D5. It gives a verdict and touches no frame.

import Encap
import MACTable

extension Worker {
  /// The verdict on a frame that has passed all checks.
  ///
  /// - Parameter table: the worker's, copied once for the burst: the compiler would copy it anew for each frame.
  @inline(always)
  mutating func lookUp(
    _ staged: UnsafePointer<StagedFrame>, in table: MACTableReader, from port: UnsafePointer<PortEntry>, isFromOverlay: Bool
  ) -> Verdict {
    let found = table.lookup(staged.pointee.destinationKey, in: staged.pointee.destinationBucket.unsafelyUnwrapped)
    return found.isHit
      ? verdict(found.location, staged, from: port, isFromOverlay: isFromOverlay)
      : verdictOnUnknown(staged, from: port, isFromOverlay: isFromOverlay)
  }

  /// The verdict on a frame whose destination is at `place`.
  @inline(always)
  mutating func verdict(
    _ place: MACLocation, _ staged: UnsafePointer<StagedFrame>, from port: UnsafePointer<PortEntry>, isFromOverlay: Bool
  ) -> Verdict {
    if isFromOverlay {
      guard place.isVTEP else { return .local(place) }
      return place.isList ? .flood(.localOnly(isKnown: true)) : .drop(.splitHorizon)
    }
    if place.isSingleVTEP { return .vtep(place.vtep) }
    if place.isVTEP { return .flood(.list(place.vtep)) }
    if place == staged.pointee.seenAt { return .drop(.samePort) }
    if port.pointee.features.contains(.isIsolated), snapshot.pointee.ports[Int(place.port)].features.contains(.isIsolated) {
      return .drop(.portIsolated)
    }
    return .local(place)
  }

  /// The verdict on a frame whose destination is not in the table: broadcast or multicast, which it hardly ever holds, a station seen
  /// a moment ago, or an unknown one.
  @inline(never)
  mutating func verdictOnUnknown(
    _ staged: UnsafePointer<StagedFrame>, from port: UnsafePointer<PortEntry>, isFromOverlay: Bool
  ) -> Verdict {
    let key = staged.pointee.destinationKey
    let place = pendingPlace(of: key, hash: table.hash(key))
    if place != StagedFrame.noLocation { return verdict(place, staged, from: port, isFromOverlay: isFromOverlay) }
    if isFromOverlay { return .flood(.localOnly(isKnown: false)) }
    return isAwaited(key) ? .awaited : .flood(.domain)
  }
}
