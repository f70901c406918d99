// frame-text: `FrameLayer`, which tells people what is in a frame, whatever is in it.

import VTEPControl

@Sendable func fuzzFrameText(_ input: UnsafeMutableRawBufferPointer) throws {
  let octets = [UInt8](input)
  let layers = FrameLayer.dissect(octets, vxlanPort: 4789)
  // Each but the last is at least four octets long.
  try require((1...octets.count / 4 + 1).contains(layers.count), "\(layers.count) headers in \(octets.count) octets")
  try require(layers.allSatisfy { !$0.name.isEmpty && !$0.text.isEmpty }, "a header without words")
  let isCut = layers.dropLast().contains { $0.text.hasPrefix("cut short") }
  try require(!isCut, "something follows what is cut short")
  try require([UInt8](hexDigits: octets.hexDigits) == octets, "octets change on their way to text")
}
