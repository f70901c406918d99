// MACTable: the guard against addresses that keep moving, because of a loop or of two stations with the same address. Such an
// address is frozen: its entry stays at its first place, neither moves nor ages, and workers drop frames from it elsewhere.
// After a while it is an ordinary learned entry again. RFC 7432 §15.1, docs/decisions/0011. Virtual router addresses belong to
// several places: they are followed.

extension MACTable {
  /// Most frozen addresses; beyond that, addresses move freely.
  static let frozenLimit = 65_536

  /// Sets when an address is frozen, and for how long, also for addresses that are already frozen. The recorded moves are
  /// forgotten when the conditions change.
  ///
  /// - Parameters:
  ///   - moves: allowed within the window; 0: any number.
  ///   - windowSeconds: counted from each move back.
  ///   - holdSeconds: how long an address stays frozen.
  ///   - freezes: false: too many moves are reported, and nothing is frozen. A domain may override this.
  public func configureMoveGuard(moves: Int, windowSeconds: UInt32, holdSeconds: UInt32, freezes: Bool = true) {
    self.holdSeconds = holdSeconds
    freezesMoves = freezes
    releaseFollowed()
    guard moves > 0 else {
      moveHistory = nil
      for (key, move) in frozen {
        thaw(key)
        noteRelease(move)
      }
      frozen = [:]
      return
    }
    if moveHistory?.limit != moves || moveHistory?.windowSeconds != windowSeconds {
      moveHistory = MoveHistory(limit: moves, windowSeconds: windowSeconds, capacity: capacity)
    }
  }

  /// After an entry has moved.
  func noteMove(_ slot: UInt32, from: MACLocation, to: MACLocation, nowSeconds: UInt32) -> LearnOutcome {
    let key = key(slot)
    let freezes = freezes(key)
    guard
      let claim = moveHistory?.record(
        key, hash: reader.hash(key), from: from, to: to, nowSeconds: nowSeconds, goesOn: !freezes)
    else { return .moved }
    var move = MACMove(key: key, first: claim.first, second: claim.second, moves: claim.moves)
    guard freezes else { return .movedTooOften(move) }
    guard frozen.count < Self.frozenLimit else { return .moved }
    move.frozenSinceSeconds = nowSeconds
    frozen[key] = move
    events.append(.frozen, key, from: claim.first, to: claim.second)
    replace(slot, with: makeValue(key, claim.first, .learned, moves: value(slot).moves).frozen)
    return .frozen
  }

  /// Whether an address that moves too often is frozen, or followed.
  func freezes(_ key: MACKey) -> Bool {
    !key.mac.isVirtualRouter && memory.policies[Int(key.domain)].freezesMoves ?? freezesMoves
  }

  /// Releases addresses that would no longer be frozen.
  func releaseFollowed() {
    for (key, move) in frozen where !freezes(key) {
      thaw(key)
      noteRelease(move)
      frozen[key] = nil
    }
  }

  /// Details of a frozen address; nil: it is not frozen.
  public func frozenMove(_ key: MACKey) -> MACMove? { frozen[key] }

  /// Releases the addresses whose hold time is over, and forgets those that are no longer frozen because their entries were
  /// flushed, replaced, or removed with their place. Call it about once per second.
  ///
  /// - Returns: the released addresses.
  public func releaseFrozen(nowSeconds: UInt32) -> [MACMove] {
    var released: [MACMove] = []
    for (key, move) in frozen {
      let isHeld = find(key).map { value($0).isFrozen && !isGhost($0) } == true
      let since = move.frozenSinceSeconds ?? nowSeconds
      guard !isHeld || Int32(truncatingIfNeeded: nowSeconds &- since) >= Int32(clamping: holdSeconds) else { continue }
      if isHeld { thaw(key) }
      noteRelease(move)
      frozen[key] = nil
      released.append(move)
    }
    return released
  }

  /// Releases the addresses that are frozen because they were also seen at a port: nothing comes in there any more.
  ///
  /// - Returns: addresses that were frozen until now.
  public func releaseFrozen(seenAt port: PortIndex) -> [MACMove] {
    let released = frozen.values.filter { !$0.second.isVTEP && $0.second.port == port }
    for move in released {
      thaw(move.key)
      noteRelease(move)
      frozen[move.key] = nil
    }
    return released
  }

  /// Frozen addresses, and then those that moved within the window, each in order of domain and address.
  public func moves(nowSeconds: UInt32) -> [MACMove] {
    let recent = moveHistory?.recent(nowSeconds: nowSeconds) ?? []
    let moved = recent.filter { frozen[$0.key] == nil }.map { key, claim in
      MACMove(key: key, first: claim.first, second: claim.second, moves: claim.moves)
    }
    return frozen.values.sorted { MACKey.isOrdered($0.key, $1.key) } + moved.sorted { MACKey.isOrdered($0.key, $1.key) }
  }

  private func noteRelease(_ move: MACMove) { events.append(.released, move.key, from: move.first, to: move.second) }

  private func thaw(_ key: MACKey) {
    guard let slot = find(key), value(slot).isFrozen, !isGhost(slot) else { return }
    replace(slot, with: makeValue(key, value(slot).location, .learned, moves: value(slot).moves))
  }
}
