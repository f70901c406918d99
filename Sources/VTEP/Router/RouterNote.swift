// RouterNote: what a router did with a frame of a dry run (`vtepctl trace`). Real workers note nothing.

import Encap
import MACTable

struct RouterNote: Equatable {
  enum Action: UInt8 {
    /// ARP, ND or a ping: the router has answered.
    case answered
    case forwarded
    /// The next hop's MAC address is asked for; the packet waits.
    case waits
    /// A fragment of a packet to the router, which waits for the others.
    case gathers
  }

  var action: Action
  /// `RouterInterface.index` where the frame came in, and where it goes.
  var interface: UInt16
  var egress: UInt16
  var nextHop = IPAddress(high: 0, low: 0)
  /// Of the next hop; zero: unknown.
  var mac = MACAddress.zero
}

extension Worker {
  @inline(always)
  mutating func note(_ action: RouterNote.Action, _ interface: RouterInterface) {
    if let recorder { recorder.pointee.router = RouterNote(action: action, interface: interface.index, egress: interface.index) }
  }
}
