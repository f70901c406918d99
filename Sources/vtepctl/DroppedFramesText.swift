// DroppedFramesText: `vtepctl show drops --frames REASON`: frames header by header, with their octets.

import Glibc
import VTEPControl

/// What the daemon says about frames, with their headers.
struct DissectedFrames: Encodable {
  var answer: DroppedFramesAnswer

  func encode(to encoder: any Encoder) throws {
    let frames = self.answer.frames.map { DissectedFrame(row: $0, vxlanPort: answer.vxlanPort) }
    var container = encoder.container(keyedBy: DroppedFramesAnswer.CodingKeys.self)
    try container.encode(answer.reason, forKey: .reason)
    try container.encode(answer.description, forKey: .description)
    try container.encode(answer.count, forKey: .count)
    try container.encode(frames, forKey: .frames)
    try container.encode(answer.note, forKey: .note)
    try container.encode(answer.vxlanPort, forKey: .vxlanPort)
  }
}

struct DissectedFrame: Encodable {
  var row: DroppedFrameRow
  var vxlanPort: UInt16

  var layers: [FrameLayer] { FrameLayer.dissect([UInt8](hexDigits: row.octets) ?? [], vxlanPort: vxlanPort) }

  enum CodingKeys: CodingKey { case layers }

  func encode(to encoder: any Encoder) throws {
    try row.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(layers, forKey: .layers)
  }
}

enum DroppedFramesText {
  static func show(_ session: Session, _ request: ShowDroppedFrames) throws {
    let answer = try session.ask(request)
    switch session.format {
    case .json: try session.printObject(DissectedFrames(answer: answer))
    case .table: Output.standard.write(text(answer))
    }
  }

  static func text(_ answer: DroppedFramesAnswer) -> String {
    var text = "\(answer.reason): \(answer.description)\n"
    for frame in answer.frames { text += "\n" + self.text(DissectedFrame(row: frame, vxlanPort: answer.vxlanPort)) }
    if answer.count == 0 {
      text += "\nno frame has been dropped for this reason\n"
    } else {
      text += "\n\(answer.count) dropped since the start, \(answer.frames.count) shown\n"
    }
    if let note = answer.note { text += "\(note)\n" }
    return text
  }

  static func text(_ dissected: DissectedFrame) -> String {
    let (frame, layers) = (dissected.row, dissected.layers)
    let place = [frame.port.map { "port \($0)" }, frame.vni.map { "vni \($0)" }, frame.vtep.map { "vtep \($0)" }].compactMap(\.self)
    let shown = frame.octets.utf8.count / 2
    var text = "\(time(frame.microseconds))  " + (place.isEmpty ? "" : place.joined(separator: "  ") + "  ") + "\(frame.length) octets"
    text += shown < frame.length ? ", of which \(shown) are kept\n" : "\n"
    let width = layers.map(\.name.count).max() ?? 0
    for layer in layers {
      text += "  " + layer.name + String(repeating: " ", count: width - layer.name.count) + "  " + layer.text + "\n"
    }
    return text + hexDump(frame.octets)
  }

  /// Local time, to the microsecond.
  static func time(_ microseconds: Int64) -> String {
    var seconds = time_t(microseconds / 1_000_000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func padded(_ value: some BinaryInteger, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
    let date = "\(1900 + parts.tm_year)-\(padded(1 + parts.tm_mon, 2))-\(padded(parts.tm_mday, 2))"
    let time = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
    return "\(date) \(time).\(padded(microseconds % 1_000_000, 6))"
  }

  /// 16 octets to a line, with their offset.
  private static func hexDump(_ digits: String) -> String {
    let octets = Array(digits)
    return stride(from: 0, to: octets.count, by: 32).map { start in
      let line = octets[start..<min(start + 32, octets.count)]
      let pairs = stride(from: line.startIndex, to: line.endIndex, by: 2).map { String(line[$0..<min($0 + 2, line.endIndex)]) }
      let offset = String(start / 2, radix: 16)
      return "    " + String(repeating: "0", count: max(4 - offset.count, 0)) + offset + "  " + pairs.joined(separator: " ") + "\n"
    }.joined()
  }
}
