// GuestSlot: where workers find the guest of a vhost-user port. Slots live as long as the process, so a worker may look into one
// whatever has become of its port.

import Synchronization

struct GuestSlot: ~Copyable {
  /// The vhost library's number of the guest's connection; -1: no guest is ready. A worker that has read a number may use it until the
  /// end of its round: the library frees a connection only when no worker is in such a round any more.
  let connection = Atomic<Int32>(-1)
  /// The most buffers that a ring claimed to hold behind a full burst, in the low 16 bits, and that ring. A worker takes as many as a ring
  /// can claim in less time than passes between two checks of the rings, and a ring that claims more than its size is corrupt.
  private let claim = Atomic<UInt32>(0)

  /// For workers, of which several may read a guest's rings.
  func note(waiting: UInt32, ring: UInt16) {
    guard waiting > claim.load(ordering: .relaxed) & 0xffff else { return }
    claim.store(UInt32(ring) &<< 16 | waiting & 0xffff, ordering: .relaxed)
  }

  /// The largest claim since the last call.
  func takeClaim() -> (ring: UInt16, waiting: UInt16) {
    let claim = claim.exchange(0, ordering: .relaxed)
    return (UInt16(truncatingIfNeeded: claim &>> 16), UInt16(truncatingIfNeeded: claim))
  }

  /// As many as the vhost library has room for sockets.
  static let limit = 1024

  nonisolated(unsafe) static let all: UnsafeMutablePointer<GuestSlot> = {
    let slots = UnsafeMutablePointer<GuestSlot>.allocate(capacity: limit)
    for index in 0..<limit { (slots + index).initialize(to: GuestSlot()) }
    return slots
  }()
}
