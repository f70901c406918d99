// Worker+Capture: copies of frames for `vtepctl capture`: as they come in (steps E1 and D1), as they leave (E7 and D7), and when they are
// dropped. Out of line: without a capture, a burst pays for one test.

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func look() -> CaptureLook {
    CaptureLook(snapshot: snapshot, captures: captures, beginning: captureBeginning, ring: index)
  }

  /// A burst has come in.
  @inline(never)
  mutating func captureReceived(_ count: Int, port: PortIndex) {
    let direction: CaptureDirection = snapshot.pointee.ports[Int(port)].isUnderlay ? .fromUnderlay : .fromPort
    let look = look()
    for index in 0..<count { look.capture(Mbuf(frames[index].unsafelyUnwrapped), port: port, direction) }
  }

  /// A batch is about to leave; what the device does not take is dropped afterwards.
  @inline(never)
  mutating func captureSent(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, port: PortIndex) {
    let direction: CaptureDirection = snapshot.pointee.ports[Int(port)].isUnderlay ? .toUnderlay : .toPort
    let look = look()
    for index in 0..<count { look.capture(Mbuf(batch[index].unsafelyUnwrapped), port: port, direction) }
  }

  @inline(never)
  mutating func captureDrop(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext) {
    look().capture(mbuf, port: port, .dropped, reason, context)
  }
}
