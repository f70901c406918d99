// ConfigurationLoader+Protection: the `protection:` section, guards for all ports and VNIs.

import VTEP

extension ConfigurationLoader {
  /// - Parameter defaults: values of absent keys.
  func readProtection(_ node: YAMLNode, defaults: ProtectionSettings, _ reader: ConfigurationReader) -> ProtectionSettings {
    var settings = defaults
    guard var section = ConfigurationSection(node, title: "protection", reader: reader) else { return settings }
    if var keys = section.section("mac-move") {
      var guarded = settings.macMove
      guarded.moves = keys.integer("moves", in: 0...ProtectionSettings.MACMove.maximumMoves).map { UInt32($0) } ?? guarded.moves
      guarded.windowSeconds =
        keys.integer("window-seconds", in: ProtectionSettings.MACMove.windowRange).map { UInt32($0) } ?? guarded.windowSeconds
      guarded.holdSeconds = keys.integer("hold-seconds", in: ProtectionSettings.holdRange).map { UInt32($0) } ?? guarded.holdSeconds
      guarded.action = keys.choice("action", as: ProtectionSettings.MACMove.Action.self) ?? guarded.action
      settings.macMove = guarded
      keys.finish()
    }
    if var keys = section.section("loop-probe") {
      let range = ProtectionSettings.LoopProbe.intervalRange
      settings.loopProbe.intervalSeconds =
        keys.integer("interval-seconds", in: range).map { UInt32($0) } ?? settings.loopProbe.intervalSeconds
      settings.loopProbe.holdSeconds = readHold(&keys) ?? settings.loopProbe.holdSeconds
      keys.finish()
    }
    if var keys = section.section("bpdu-guard") {
      settings.bpduGuard.holdSeconds = readHold(&keys) ?? settings.bpduGuard.holdSeconds
      keys.finish()
    }
    section.finish()
    return settings
  }

  private func readHold(_ keys: inout ConfigurationSection) -> UInt32? {
    keys.integer("hold-seconds", in: ProtectionSettings.holdRange).map { UInt32($0) }
  }
}
