// LiveTrace: `vtepctl trace --live`: asks again and again for the frames that have come.

import VTEPControl

enum LiveTrace {
  /// - Parameter seconds: nil: until all have come.
  static func run(_ session: Session, _ request: StartLiveTrace, seconds: Double?) throws {
    let clock = ContinuousClock()
    let begin = clock.now
    let trace = try session.ask(request).trace
    var number = 0
    while true {
      let isOver = seconds.map { begin.duration(to: clock.now) > .seconds($0) } ?? false
      let answer = try session.ask(NextLiveTraces(trace: trace, stop: isOver ? true : nil))
      for row in answer.frames {
        number += 1
        switch session.format {
        case .json: try session.printObject(row)
        case .table: Output.standard.write(row.text(number))
        }
      }
      Output.standard.flush()
      if answer.isDone { return }
    }
  }
}

extension LiveTraceRow {
  /// What happened, and below the stages of the copy.
  fileprivate func text(_ number: Int) -> String {
    var text = "frame \(number), worker \(worker): \(happened)\n"
    guard let trace else { return text + "  no packet buffer for a copy; raise dataplane.memory-mb\n\n" }
    text += trace.text.split(separator: "\n").map { "  \($0)\n" }.joined()
    if agrees == false { text += "  this copy came to something else than the frame: the state has changed in between\n" }
    return text + "\n"
  }
}
