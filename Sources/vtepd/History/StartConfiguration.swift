// StartConfiguration: what the daemon starts with: the file, unless that is what was undone, or a change that nobody has confirmed was in force
// when the daemon ended.

import Logging

struct StartConfiguration {
  let file: Configuration
  let text: String
  let path: String
  let history: HistoryFolder
  let log: Logger

  /// - Parameters:
  ///   - file: as it was read.
  ///   - text: of the file.
  init(_ file: Configuration, text: String, path: String, log: Logger) {
    self.file = file
    self.text = text
    self.path = path
    var history = HistoryFolder(stateDirectory: file.stateDirectory)
    history.warn = { log.error("\($0)") }
    self.history = history
    self.log = log
  }

  func state() -> ConfigurationState {
    let state = ConfigurationState(file: file, desired: file.desired)
    guard let found = history.trial() else { return state }
    let isInFile = found.applied == text
    // The file has become another: what was undone is of no interest any more.
    guard isInFile || !found.trial.isUndone else {
      forget()
      return state
    }
    let before: ConfigurationState
    do {
      before = try ConfigurationState(texts: found.before, file: "the configuration before")
    } catch {
      history.setTrialAside("\(error)".onOneLine)
      log.error("configuration: using \(path) although it may have what was not confirmed")
      return state
    }
    if !found.trial.isUndone {
      log.warning(
        """
        configuration: \(found.trial.action) by \(found.trial.origin.text) was not confirmed when vtepd ended; \
        starting with the configuration before
        """)
      log.notice("audit: vtepd: undo \(found.trial.action): not confirmed when vtepd ended")
      if isInFile { remember(found.trial, found.before) } else { forget() }
    }
    if isInFile { log.warning("\(Daemon.undoneRemark(path))") }
    return before
  }

  private func forget() {
    do {
      try history.removeTrial()
    } catch {
      log.error("configuration: \(error)")
    }
  }

  private func remember(_ trial: Trial, _ before: [String?]) {
    var trial = trial
    trial.isUndone = true
    do {
      try history.write(trial, before: before, applied: text)
    } catch {
      log.error("configuration: \(error)")
    }
  }
}
