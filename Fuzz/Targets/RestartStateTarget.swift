// The file that carries learned addresses and counters across a restart. A checksum keeps accidents away from the parser, so the target also
// gives it bodies with a right one.

@testable import VTEP

@Sendable func fuzzRestartState(_ input: UnsafeMutableRawBufferPointer) throws {
  let bytes = Array(input)
  try check(bytes)
  guard bytes.count >= 24 else { return }
  for version: UInt8 in 1...3 {
    var sealed = Array("vtepd-st".utf8) + [version, 0, 0, 0] + bytes[12...]
    SavedState.seal(&sealed)
    try check(sealed)
  }
}

private func check(_ bytes: [UInt8]) throws {
  guard let state = try? SavedState(bytes: bytes, boot: "boot") else { return }
  let again = try? SavedState(bytes: state.bytes(boot: "boot"), boot: "boot")
  try require(again == state, "a state does not survive a write and a read")
}
