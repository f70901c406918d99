// Worker+Learn: starts the table look-ups of a burst, and looks at its source addresses. Steps E3 and D4.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Before each burst.
  @inline(always)
  mutating func beginBurst() {
    unsightedCount = 0
    sightings.begin(changeCount: table.changeCount, nowSeconds: nowSeconds, isCrowded: table.isCrowded, isVast: table.isVast)
  }

  /// Stages a frame that has passed all checks, and fetches the table lines that the following passes will read for it.
  ///
  /// - Parameter seenAt: place of the source; `noLocation`: do not learn.
  @inline(always)
  mutating func stageFrame(at position: Int, source: MACKey, destination: MACKey, seenAt: MACLocation) {
    stageFrame(at: position, source: source, destination: destination, seenAt: seenAt, sightings.at(seenAt), table)
  }

  /// The same for a caller that has these at hand.
  @inline(always)
  mutating func stageFrame(
    at position: Int, source: MACKey, destination: MACKey, seenAt: MACLocation, _ sightings: Sightings.Place, _ table: MACTableReader
  ) {
    (stage + position).pointee.seenAt = seenAt
    stageEveryday(in: stage + position, source: source, destination: destination, seenAt: seenAt, sightings, table)
  }

  /// The same for a frame that most likely needs no `StagedFrame.seenAt`.
  ///
  /// - Parameter staged: its place in the stage.
  @inline(always)
  mutating func stageEveryday(
    in staged: UnsafeMutablePointer<StagedFrame>, source: MACKey, destination: MACKey, seenAt: MACLocation, _ sightings: Sightings.Place,
    _ table: MACTableReader
  ) {
    staged.pointee.destinationKey = destination
    let bucket = table.bucket(of: table.hash(destination))
    staged.pointee.destinationBucket = bucket
    cdpdk_prefetch(bucket.address)
    if !sightings.pair(source).isPresent { stageUnsighted(in: staged, source: source, seenAt: seenAt) }
  }

  /// Out of line: its second hash would keep the first one's factors in registers.
  @inline(never)
  private mutating func stageUnsighted(in staged: UnsafeMutablePointer<StagedFrame>, source: MACKey, seenAt: MACLocation) {
    staged.pointee.sourceKey = source
    staged.pointee.seenAt = seenAt
    let frame = unsighted + unsightedCount
    unsightedCount &+= 1
    let sighting = sightings.at(seenAt).pair(source)
    frame.pointee = UnsightedFrame(position: staged - stage, bucket: nil, sighting: sighting)
    if sightings.isLarge && seenAt.isVTEP {
      cdpdk_prefetch(sighting.address)
    } else {
      frame.pointee.bucket = fetchedBucket(ofSource: source)
    }
  }

  /// The first bucket of a source, which is on its way, and so is what will be written once it is known there.
  @inline(always)
  private mutating func fetchedBucket(ofSource source: MACKey) -> MACBucket {
    let bucket = table.bucket(of: table.hash(source))
    cdpdk_prefetch(bucket.address)
    cdpdk_prefetch(table.touchAddress(of: bucket))
    return bucket
  }

  /// With many stations: leaves the sources to be looked up that have not been seen a moment ago. Then finds out where in their buckets
  /// the addresses of the burst are, and fetches the second buckets of the rest, each of which would have to be waited for.
  @inline(never)
  mutating func findPlaces(_ count: Int) {
    var left = 0
    for index in 0..<unsightedCount {
      var frame = unsighted[index]
      if frame.bucket == nil {
        if frame.sighting.isPresent { continue }
        frame.bucket = fetchedBucket(ofSource: stage[frame.position].sourceKey)
      }
      unsighted[left] = frame
      left &+= 1
    }
    unsightedCount = left
    let table = self.table
    var staged = stage
    for index in 0..<count {
      let position = staged
      staged += 1
      guard frames[index] != nil else { continue }
      // Staged, as every frame of the burst.
      let place = table.likelyPlace(of: position.pointee.destinationKey, in: position.pointee.destinationBucket.unsafelyUnwrapped)
      position.pointee.destinationBucket = place
      cdpdk_prefetch(place.address)
    }
    for index in 0..<left {
      let place = table.likelyPlace(of: stage[unsighted[index].position].sourceKey, in: unsighted[index].bucket.unsafelyUnwrapped)
      unsighted[index].bucket = place
      cdpdk_prefetch(place.address)
    }
  }

  /// Marks a source address that is known at its place as seen, and reports any other to the learner. Frames whose source must not be
  /// where it was seen are dropped; they leave gaps.
  @inline(never)
  mutating func learnSources(portIndex: PortIndex, isFromOverlay: Bool) {
    let table = self.table
    let mayBeGhost = table.hasGhosts
    var next = unsighted
    let end = next + unsightedCount
    while next != end {
      let position = next.pointee.position
      let bucket = next.pointee.bucket.unsafelyUnwrapped
      next += 1
      // Refused meanwhile.
      guard let raw = frames[position] else { continue }
      let staged = stage + position
      let key = staged.pointee.sourceKey
      let known = table.lookup(key, in: bucket, mayBeGhost: mayBeGhost)
      if !learn(Mbuf(raw), staged, known, portIndex: portIndex, isFromOverlay: isFromOverlay) { frames[position] = nil }
    }
  }

  /// The same for one frame of a burst that is forwarded at once (Worker+AtOnce).
  ///
  /// - Returns: false: it was dropped.
  @inline(never)
  mutating func learnAtOnce(
    _ mbuf: Mbuf, source: MACKey, destination: MACKey, seenAt: MACLocation, portIndex: PortIndex, isFromOverlay: Bool
  ) -> Bool {
    let staged = stage
    staged.pointee.sourceKey = source
    staged.pointee.destinationKey = destination
    staged.pointee.seenAt = seenAt
    let known = table.lookup(source, hash: table.hash(source))
    return learn(mbuf, staged, known, portIndex: portIndex, isFromOverlay: isFromOverlay)
  }

  /// - Parameter known: the entry of the frame's source, if it has one.
  /// - Returns: false: the frame was dropped.
  @inline(always)
  private mutating func learn(
    _ mbuf: Mbuf, _ staged: UnsafeMutablePointer<StagedFrame>, _ known: MACLookup, portIndex: PortIndex, isFromOverlay: Bool
  ) -> Bool {
    if known.isHit && known.location == staged.pointee.seenAt {
      // Known where it is: nothing else is asked of most.
      table.touch(known, nowSeconds: nowSeconds)
      sightings.insert(staged.pointee.sourceKey, staged.pointee.seenAt)
      return true
    }
    if let reason = Self.refusal(of: staged, known, isFromOverlay: isFromOverlay) {
      drop(mbuf, port: portIndex, reason, DropContext(staged))
      return false
    }
    learnSource(mbuf, staged, known)
    return true
  }

  /// Drop reason for a source that only the table can tell: frozen elsewhere, which breaks a loop, or, in a tunnel, a static address on a
  /// local port: our own frame that came back.
  @inline(always)
  private static func refusal(of staged: UnsafePointer<StagedFrame>, _ known: MACLookup, isFromOverlay: Bool) -> DropReason? {
    // The same router runs on other VTEPs, too.
    if isFromOverlay && known.isHit && known.type != .learned && !known.location.isVTEP && known.location.port != Limits.routerPort {
      return .innerSourceOwn
    }
    guard known.isFrozen(elsewhereThan: staged.pointee.seenAt) else { return nil }
    return isFromOverlay ? .innerSourceFrozen : .sourceFrozen
  }

  /// - Parameter known: an entry with another place, or none.
  @inline(never)
  private mutating func learnSource(_ mbuf: Mbuf, _ staged: UnsafeMutablePointer<StagedFrame>, _ known: MACLookup) {
    let key = staged.pointee.sourceKey
    let seenAt = staged.pointee.seenAt
    // What BFD frames come from is no station, and what they go to must not become one (Worker+BFD).
    if key.mac.isBFD || staged.pointee.destinationKey.mac.isBFD { return }
    if seenAt == StagedFrame.noLocation || (known.isHit && known.isPinned) {
      // Nothing to learn, or an operator's entry takes precedence. A controller's entry is reported, so that it can be updated.
      sightings.insert(key, seenAt)
      if known.isHit && known.type == .controller && !seenAt.isVTEP { reportSighting(mbuf, staged) }
    } else {
      reportSighting(mbuf, staged)
    }
  }

  @inline(never)
  mutating func sendToLearner(_ event: LearnEvent) {
    if learnRings[index].send(event, hash: table.hash(event.key)) {
      sentLearnEvents = true
    } else {
      counters.activity.pointee.learnEventsLost.add(1)
    }
  }
}
