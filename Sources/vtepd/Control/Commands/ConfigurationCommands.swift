// ConfigurationCommands: `vtepctl config check|apply|show`.

import VTEPControl

extension Daemon {
  nonisolated func addConfigurationCommands(to commands: inout ControlCommands) {
    commands.add(CheckConfiguration.self, handle)
    commands.add(ApplyConfiguration.self, handle)
    commands.add(ShowConfiguration.self, handle)
  }

  func handle(_ request: CheckConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    let new = try Self.parse(request.text, file: request.file)
    return ConfigurationAnswer(
      changes: configuration.changes(to: new), needsRestart: configuration.keysNeedingRestart(for: new))
  }

  func handle(_ request: ApplyConfiguration) async throws(ControlError) -> ConfigurationAnswer {
    try await apply(try Self.parse(request.text, file: request.file))
  }

  func handle(_ request: ShowConfiguration) async throws(ControlError) -> ConfigurationText {
    var shown = configuration
    shown.desired = await (try running()).desired
    do {
      return ConfigurationText(text: try shown.yaml())
    } catch {
      throw ControlError(.internalError, "\(error)")
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
