// ConfigurationLoader+Protection: the `protection:` section, guards that hold for all ports and VNIs.

import VTEP
import Yams

extension ConfigurationLoader {
  /// - Parameter defaults: what holds for keys that are not given.
  func readProtection(_ node: Node, defaults: ProtectionSettings, _ reader: ConfigurationReader) -> ProtectionSettings {
    var settings = defaults
    guard var section = ConfigurationSection(node, title: "protection", reader: reader) else { return settings }
    if var keys = section.section("mac-move") {
      var guarded = settings.macMove
      guarded.moves = keys.integer("moves", in: 0...ProtectionSettings.MACMove.maximumMoves).map { UInt32($0) } ?? guarded.moves
      guarded.windowSeconds =
        keys.integer("window-seconds", in: ProtectionSettings.MACMove.windowRange).map { UInt32($0) } ?? guarded.windowSeconds
      guarded.holdSeconds = keys.integer("hold-seconds", in: ProtectionSettings.holdRange).map { UInt32($0) } ?? guarded.holdSeconds
      settings.macMove = guarded
      keys.finish()
    }
    section.finish()
    return settings
  }
}
