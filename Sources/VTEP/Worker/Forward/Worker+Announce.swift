// Worker+Announce: announcements on behalf of guests that have just arrived. They go where a broadcast from the guest would go:
// to the VNI's other local bindings and its flood list.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Sends the announcements of a new snapshot that have not been sent yet.
  @inline(never)
  mutating func announce() {
    for index in 0..<snapshot.pointee.announcementCount {
      let announcement = snapshot.pointee.announcements[index]
      guard announcement.serial > announced else { continue }
      announced = announcement.serial
      guard let buffer = cdpdk_mbuf_alloc(pool), cdpdk_mbuf_append(buffer, UInt16(AnnouncementFrame.byteCount)) != nil else {
        counters.drop(port: announcement.place.port, .noBuffers).pointee.add(1)
        continue
      }
      let mbuf = Mbuf(buffer)
      mbuf.withMutableBytes { AnnouncementFrame.write(into: &$0, source: announcement.key.mac) }
      flood(
        mbuf, .domain, domain: announcement.key.domain, from: announcement.place, ingress: announcement.place.port, isLimited: false)
    }
  }
}
