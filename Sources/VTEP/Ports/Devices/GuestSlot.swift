// GuestSlot: where workers find the guest of a vhost-user port. Slots live as long as the process, so a worker may look into one
// whatever has become of its port.

import Synchronization

struct GuestSlot: ~Copyable {
  /// The vhost library's number of the guest's connection; -1: no guest is ready. A worker that has read a number may use it until the
  /// end of its round: the library frees a connection only when no worker is in such a round any more.
  let connection = Atomic<Int32>(-1)

  /// As many as the vhost library has room for sockets.
  static let limit = 1024

  nonisolated(unsafe) static let all: UnsafeMutablePointer<GuestSlot> = {
    let slots = UnsafeMutablePointer<GuestSlot>.allocate(capacity: limit)
    for index in 0..<limit { (slots + index).initialize(to: GuestSlot()) }
    return slots
  }()
}
