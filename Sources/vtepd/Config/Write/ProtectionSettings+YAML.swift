// ProtectionSettings+YAML: the `protection:` section in the file's own format, every key of it.

import VTEP

extension ProtectionSettings {
  var node: YAMLNode {
    .block([
      (
        "mac-move",
        .block([
          ("moves", YAMLNode(number: macMove.moves)), ("window-seconds", YAMLNode(number: macMove.windowSeconds)),
          ("hold-seconds", YAMLNode(number: macMove.holdSeconds)), ("action", YAMLNode(text: macMove.action.rawValue)),
        ])
      ),
      (
        "loop-probe",
        .block([
          ("interval-seconds", YAMLNode(number: loopProbe.intervalSeconds)), ("hold-seconds", YAMLNode(number: loopProbe.holdSeconds)),
        ])
      ),
      ("bpdu-guard", .block([("hold-seconds", YAMLNode(number: bpduGuard.holdSeconds))])),
    ])
  }
}
