// ConfigurationCommands: `vtepctl config …`. History/ has what carries out changes.

import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addConfigurationCommands(to commands: inout ControlCommands) {
    commands.add(CheckConfiguration.self, handle)
    commands.add(DiffConfiguration.self, handle)
    commands.add(ApplyConfiguration.self, handle)
    commands.add(ConfirmConfiguration.self, handle)
    commands.add(RollBackConfiguration.self, handle)
    commands.add(ShowHistory.self, handle)
    commands.add(ShowConfiguration.self, handle)
    commands.add(MergeConfiguration.self, handle)
    commands.add(SavedConfiguration.self, handle)
  }

  func handle(_ request: CheckConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    let new = try Self.parse(request.text, file: request.file)
    let running = try await presentState().running
    return ConfigurationAnswer(
      changes: running.changes(to: try applied(new, to: running)), needsRestart: configuration.keysNeedingRestart(for: new))
  }

  func handle(_ request: DiffConfiguration) async throws(ControlError) -> [ConfigurationDifference] {
    let running = try await presentState().running
    guard let text = request.text else {
      let saved = try Self.parse(try await savedText(), file: path)
      return YAMLNode.differences(running.node, saved.node)
    }
    let new = try Self.parse(text, file: request.file)
    return YAMLNode.differences(running.node, try applied(new, to: running).node)
  }

  /// What would run once `new` is applied.
  private func applied(_ new: Configuration, to running: Configuration) throws(ControlError) -> Configuration {
    var result = new
    result.desired = try running.desired.merging(from: configuration.desired, to: new.desired)
    return result
  }

  func handle(_ request: ApplyConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    let replaces = request.replace == true
    return try await apply(
      try Self.parse(request.text, file: request.file), text: request.text, replaces: replaces, confirmSeconds: request.confirmSeconds,
      action: "config apply \(replaces ? "--replace " : "")\(request.file)")
  }

  func handle(_ request: ConfirmConfiguration) async throws(ControlError) -> ChangeAnswer { try await confirm() }

  func handle(_ request: RollBackConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    try await rollBack(request.number, confirmSeconds: request.confirmSeconds)
  }

  func handle(_ request: ShowHistory) async throws(ControlError) -> HistoryAnswer {
    let history = history
    let entries: [HistoryEntry]
    do {
      entries = try await onThread { history.entries() }
    } catch {
      throw Self.refusal(error)
    }
    let present = try await presentState()
    return HistoryAnswer(
      entries: entries.reversed().enumerated().map { HistoryRow(number: $0, $1) },
      changesSince: recorded?.running.changes(to: present.running) ?? [], confirmSeconds: trial?.secondsLeft)
  }

  func handle(_ request: ShowConfiguration) async throws(ControlError) -> ConfigurationText {
    do {
      switch request.source {
      case .running?, nil: return ConfigurationText(text: try await presentState().running.yaml())
      case .saved?: return ConfigurationText(text: try await savedText())
      case .history?: return ConfigurationText(text: try await entry(request.number ?? 0).1.running.yaml())
      }
    } catch {
      throw error as? ControlError ?? ControlError(.internalError, "\(error)")
    }
  }

  func handle(_ request: MergeConfiguration) async throws(ControlError) -> MergedConfiguration {
    guard trial == nil else { throw ControlError(.refused, "a change waits for confirmation; vtepctl config confirm keeps it") }
    let running = try await presentState().running
    do {
      let text: String
      let saved: Configuration
      do {
        text = try await savedText()
        saved = try Self.parse(text, file: path)
      } catch {
        guard request.force == true else { throw error }
        return MergedConfiguration(path: path, text: try running.yaml(), isChanged: true, lostComments: nil)
      }
      guard request.force == true || knownFileText == nil || knownFileText == text else {
        throw ControlError(
          .refused,
          "\(path) has changes that were not applied, and that saving would undo: see vtepctl config diff \(path); apply them first, "
            + "or give --force")
      }
      let merged = try FileMerge(text, saying: saved, toSay: running)
      return MergedConfiguration(path: path, text: merged.text, isChanged: merged.text != text, lostComments: merged.lostComments)
    } catch {
      throw error as? ControlError ?? ControlError(.internalError, "\(error)")
    }
  }

  func handle(_ request: SavedConfiguration) async throws(ControlError) -> ChangeAnswer {
    try await saved(try Self.parse(request.text, file: request.file), text: request.text)
  }

  /// What the daemon's file says now.
  func savedText() async throws(ControlError) -> String {
    let path = path
    do {
      return try await onThread { try ConfigurationLoader().text(path: path) }
    } catch let error as ConfigurationError {
      throw ControlError(error)
    } catch {
      throw Self.refusal(error)
    }
  }

  private static func parse(_ text: String, file: String) throws(ControlError) -> Configuration {
    do {
      return try ConfigurationLoader().load(text: text, file: file)
    } catch {
      throw ControlError(error)
    }
  }
}

extension HistoryRow {
  fileprivate init(number: Int, _ entry: HistoryEntry) {
    self.init(
      number: number, seconds: entry.seconds, user: entry.origin.user ?? entry.origin.uid.map { "\($0)" }, pid: entry.origin.process,
      command: entry.origin.command, action: entry.action, changes: entry.changes, changeCount: entry.changeCount)
  }
}
