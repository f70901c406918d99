// Daemon+Configurations: changes of the configuration as a whole: the file, SIGHUP, `vtepctl config apply|confirm|rollback`. Each is made whole
// or not at all, one at a time, and gets an entry in the history. One that must be confirmed is undone if that does not happen in time; the
// state before is on disk before anything changes, so that the next start of the daemon finds it.

import Glibc
import VTEP
import VTEPControl

/// A change that waits for confirmation.
struct PendingTrial: Sendable {
  /// Tells one change from the next.
  var id: UInt64
  var description: Trial
  var before: ConfigurationState
  var after: ConfigurationState
  /// What was applied.
  var text: String
  /// Undoes it.
  var timer: Task<Void, Never>
  var end: ContinuousClock.Instant

  var secondsLeft: Int { max(Int((end - .now).components.seconds), 0) }
}

extension Daemon {
  static let confirmRange = 1...86400
  private static let retryTime = Duration.seconds(5)

  static var now: Int64 { Int64(time(nil)) }

  // -- changing ------------------------------------------------------------------------------------------------------------

  /// Applies the difference between the last configuration and `new`.
  ///
  /// - Parameters:
  ///   - text: of the file that `new` is from.
  ///   - replaces: applies all of `new`: nothing that vtepctl has changed stays.
  ///   - confirmSeconds: undoes the change after that time; nil: it stays.
  ///   - action: for the history.
  func apply(
    _ new: Configuration, text: String, replaces: Bool = false, confirmSeconds: Int? = nil, action: String
  ) async throws(ControlError) -> ConfigurationAnswer {
    try await oneAtATime { () async throws(ControlError) in
      let old = configuration
      let change = ConfigurationChange(new: new, text: text, action: action, confirmSeconds: confirmSeconds)
      return try await carryOut(change) { (state: DesiredState) throws(ControlError) in
        replaces ? try state.replaced(by: new.desired) : try state.merging(from: old.desired, to: new.desired)
      }
    }
  }

  /// A change of the configuration as a whole.
  struct ConfigurationChange: Sendable {
    var new: Configuration
    var text: String
    var action: String
    var confirmSeconds: Int?
  }

  /// Call it inside `oneAtATime`.
  private func carryOut(
    _ change: ConfigurationChange, _ edit: @escaping @Sendable (DesiredState) throws(ControlError) -> DesiredState
  ) async throws(ControlError) -> ConfigurationAnswer {
    if let trial {
      throw ControlError(
        .refused,
        "a change waits for confirmation: \(trial.description.action) by \(trial.description.origin.text), undone in "
          + "\(trial.secondsLeft) s; keep it with vtepctl config confirm, or undo it with vtepctl config rollback")
    }
    let before = try await presentState()
    await record(before, action: "changes by vtepctl", origin: .daemon)
    let trial = try await prepareTrial(change, before)
    do throws(ControlError) {
      try await self.change(to: change.new) { try edit($0) }
    } catch {
      if trial != nil { await removeTrialFile() }
      throw error
    }
    let after = try await presentState()
    await record(after, action: change.action, origin: .current)
    if let trial {
      begin(trial, before, after, text: change.text)
    } else {
      await removeTrialFile()
      await noteFileText(change.text)
    }
    return ConfigurationAnswer(
      changes: before.running.changes(to: after.running), needsRestart: before.file.keysNeedingRestart(for: change.new),
      confirmSeconds: change.confirmSeconds)
  }

  /// What runs now.
  func presentState() async throws(ControlError) -> ConfigurationState {
    ConfigurationState(file: configuration, desired: await (try running()).desired)
  }

  /// Returns to an earlier configuration.
  ///
  /// - Parameter number: how many entries back; nil: undoes what waits for confirmation, or else the latest change.
  func rollBack(_ number: Int?, confirmSeconds: Int?) async throws(ControlError) -> ConfigurationAnswer {
    try await oneAtATime { () async throws(ControlError) in
      if number == nil, let trial {
        let answer = try await undo(trial, "undone by config rollback")
        trial.timer.cancel()
        return answer
      }
      let number = number ?? 1
      let (entry, target) = try await entry(number)
      let text: String
      do {
        text = try target.running.yaml()
      } catch {
        throw ControlError(.internalError, "\(error)")
      }
      let change = ConfigurationChange(
        new: target.file, text: text, action: "config rollback \(number): \(entry.action)", confirmSeconds: confirmSeconds)
      return try await carryOut(change) { (state: DesiredState) throws(ControlError) in try state.replaced(by: target.desired) }
    }
  }

  /// An entry of the history, and its state.
  ///
  /// - Parameter number: how many entries back.
  func entry(_ number: Int) async throws(ControlError) -> (HistoryEntry, ConfigurationState) {
    let history = history
    do {
      let entries = try await onThread { history.entries() }
      guard number >= 0, number < entries.count else {
        throw ControlError(
          .notFound,
          "the history has no entry \(number)"
            + (entries.isEmpty ? "; it is empty" : ", only 0 to \(entries.count - 1); see vtepctl config history"))
      }
      let entry = entries[entries.count - 1 - number]
      let state = try await onThread { try ConfigurationState(texts: try history.texts(entry.number), file: "history entry \(number)") }
      return (entry, state)
    } catch let error as ConfigurationError {
      throw ControlError(error)
    } catch {
      throw Self.refusal(error)
    }
  }

  // -- confirmation ----------------------------------------------------------------------------------------------------------

  /// Puts the state before on disk.
  private func prepareTrial(_ change: ConfigurationChange, _ before: ConfigurationState) async throws(ControlError) -> Trial? {
    guard let seconds = change.confirmSeconds else { return nil }
    guard Self.confirmRange.contains(seconds) else {
      throw ControlError(.invalidParameters, "confirm must be from 1 to 86400 seconds, not \(seconds)")
    }
    guard change.new.stateDirectory == stateDirectory else {
      throw ControlError(
        .refused,
        "state-dir cannot change in a change that must be confirmed: the next start would not find the state before; "
          + "change it alone, without --confirm, and restart vtepd")
    }
    let trial = Trial(isUndone: false, deadline: Self.now + Int64(seconds), origin: .current, action: change.action)
    let history = history
    do {
      try await onThread { try history.write(trial, before: before.texts, applied: change.text) }
    } catch {
      throw ControlError(.refused, "the state before cannot be kept, and so the change could not be undone: \(error)")
    }
    return trial
  }

  private func begin(_ description: Trial, _ before: ConfigurationState, _ after: ConfigurationState, text: String) {
    let seconds = max(Int(description.deadline - Self.now), 1)
    let id = (trial?.id ?? UInt64(Self.now)) &+ 1
    let end = ContinuousClock.now + .seconds(seconds)
    // Detached: what the daemon does then, it does by itself (`ChangeOrigin`).
    let timer = Task.detached {
      try? await Task.sleep(until: end, clock: .continuous)
      while !Task.isCancelled, await !self.expire(id, after: seconds) { try? await Task.sleep(for: Self.retryTime) }
    }
    trial = PendingTrial(id: id, description: description, before: before, after: after, text: text, timer: timer, end: end)
    note(.configAwaiting, "\(description.action) waits for confirmation, and is undone in \(seconds) s")
    log.warning(
      "configuration: \(description.action) waits for confirmation, and is undone in \(seconds) s (vtepctl config confirm keeps it)")
  }

  /// The time is over.
  ///
  /// - Returns: whether nothing is left to do.
  private func expire(_ id: UInt64, after seconds: Int) async -> Bool {
    do {
      return try await oneAtATime { () async throws(ControlError) in
        guard let trial, trial.id == id, !Task.isCancelled else { return true }
        let answer = try await undo(trial, "not confirmed within \(seconds) s")
        log.notice("audit: vtepd: undo \(trial.description.action): not confirmed within \(seconds) s: \(answer.summary)")
        return true
      }
    } catch {
      guard state == .running else { return true }
      log.error("configuration: undoing what was not confirmed failed, trying again: \(error)")
      return false
    }
  }

  /// Returns to the state before a change. What vtepctl has changed since stays, unless it depends on the change.
  private func undo(_ trial: PendingTrial, _ reason: String) async throws(ControlError) -> ConfigurationAnswer {
    let (before, after, log) = (trial.before, trial.after, log)
    let present = try await presentState()
    try await change(to: before.file, isTolerant: true) { (state: DesiredState) throws(ControlError) in
      do {
        return try state.merging(from: after.desired, to: before.desired)
      } catch {
        log.warning("configuration: changes by vtepctl since then go, too: \(error)")
        return try state.replaced(by: before.desired)
      }
    }
    self.trial = nil
    let restored = try await presentState()
    note(.configRolledBack, "\(trial.description.action): \(reason); the configuration before is in force again")
    log.warning("configuration: \(trial.description.action): \(reason); the configuration before is in force again")
    await record(restored, action: "\(trial.description.action) \(reason)", origin: .current)
    await keepUndone(trial)
    return ConfigurationAnswer(
      changes: present.running.changes(to: restored.running), needsRestart: present.file.keysNeedingRestart(for: restored.file))
  }

  /// If the file has what was undone, the next start must not bring it back.
  private func keepUndone(_ trial: PendingTrial) async {
    var description = trial.description
    description.isUndone = true
    let (history, path, undone) = (history, path, description)
    do {
      let isInFile = try await onThread {
        guard (try? ConfigurationLoader().text(path: path)) == trial.text else {
          try history.removeTrial()
          return false
        }
        try history.write(undone, before: trial.before.texts, applied: trial.text)
        return true
      }
      guard isInFile else { return }
      knownFileText = trial.text
      log.warning("\(Self.undoneRemark(path))")
    } catch {
      log.error("configuration: \(error)")
    }
  }

  static func undoneRemark(_ path: String) -> String {
    "\(path) still has what was undone, and is not used at the next start; vtepctl config save writes what runs into it, "
      + "vtepctl config apply \(path) applies it again"
  }

  /// Keeps a change that waits for confirmation.
  func confirm() async throws(ControlError) -> ChangeAnswer {
    try await oneAtATime { () async throws(ControlError) in
      guard let trial else { throw ControlError(.refused, "no change waits for confirmation; see vtepctl config history") }
      let history = history
      do {
        try await onThread { try history.removeTrial() }
      } catch {
        throw Self.refusal(error)
      }
      trial.timer.cancel()
      self.trial = nil
      await noteFileText(trial.text)
      note(.configConfirmed, "\(trial.description.action) is confirmed")
      log.notice("configuration: \(trial.description.action) is confirmed")
      return ChangeAnswer(changed: true)
    }
  }

  /// The daemon stops; the next start undoes what is not confirmed.
  func endTrial() {
    guard let trial else { return }
    trial.timer.cancel()
    log.warning("configuration: \(trial.description.action) was not confirmed: the next start undoes it")
  }

  private func removeTrialFile() async {
    let history = history
    do {
      try await onThread { try history.removeTrial() }
    } catch {
      log.error("configuration: \(error)")
    }
  }

  // -- the history -----------------------------------------------------------------------------------------------------------

  /// The state at the start: an entry if it is another than the latest one.
  func recordStart() async {
    let state = ConfigurationState(file: configuration, desired: initialState)
    let history = history
    let isKnown = try? await onThread {
      guard let latest = history.entries().last else { return false }
      return try history.texts(latest.number) == state.texts
    }
    if isKnown == true { recorded = state } else { await record(state, action: "start", origin: .daemon) }
  }

  /// Adds a state to the history unless it is there already.
  private func record(_ state: ConfigurationState, action: String, origin: ChangeOrigin) async {
    guard state != recorded else { return }
    let changes = recorded.map { $0.running.changes(to: state.running) } ?? []
    let (history, now) = (history, Self.now)
    do {
      _ = try await onThread { try history.append(state.texts, action: action, origin: origin, changes: changes, now: now) }
      recorded = state
    } catch {
      log.error("configuration: the history has no entry for '\(action)': \(error)")
    }
  }

  /// Remembers what the file says, if that was applied.
  private func noteFileText(_ text: String) async {
    let path = path
    if (try? await onThread { try ConfigurationLoader().text(path: path) }) == text { knownFileText = text }
  }

  // -- the file --------------------------------------------------------------------------------------------------------------

  /// The file was written: its next changes are differences from this.
  func saved(_ new: Configuration, text: String) async throws(ControlError) -> ChangeAnswer {
    try await oneAtATime { () async throws(ControlError) in
      guard trial == nil else { throw ControlError(.refused, "a change waits for confirmation; vtepctl config confirm keeps it") }
      let isNew = configuration != new
      try await change(to: new) { $0 }
      knownFileText = text
      await removeTrialFile()
      await record(try await presentState(), action: "config save", origin: .current)
      return ChangeAnswer(changed: isNew)
    }
  }
}

extension DesiredState {
  /// `new` as it is, with what is not the operator's: the controller's part of this state, and the defaults of the mode that it runs in.
  ///
  /// - Throws: `refused` when the result is not valid.
  func replaced(by new: DesiredState) throws(ControlError) -> DesiredState {
    var state = new
    state.controller = controller
    state.portDefaults = portDefaults
    state.resolveProfiles()
    if let error = ControlError(state.problems(since: self)) { throw error }
    return state
  }
}
