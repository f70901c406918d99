// ProtectionSettings+YAML: the `protection:` section in the file's own format, every key of it.

import VTEP
import Yams

extension ProtectionSettings {
  var node: Node {
    .block([
      (
        "mac-move",
        .block([
          ("moves", Node(number: macMove.moves)), ("window-seconds", Node(number: macMove.windowSeconds)),
          ("hold-seconds", Node(number: macMove.holdSeconds)), ("action", Node(word: macMove.action.rawValue)),
        ])
      ),
      (
        "loop-probe",
        .block([
          ("interval-seconds", Node(number: loopProbe.intervalSeconds)), ("hold-seconds", Node(number: loopProbe.holdSeconds)),
        ])
      ),
      ("bpdu-guard", .block([("hold-seconds", Node(number: bpduGuard.holdSeconds))])),
    ])
  }
}
