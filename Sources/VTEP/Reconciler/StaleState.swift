// StaleState: what has changed in the reconciler's records and has not reached the data plane yet. The tables mark it, and
// `ControlState.settle` carries it out.

import Encap
import MACTable

/// What has changed in the records and has not reached the data plane yet.
struct StaleState {
  /// Routes to VTEPs may have changed.
  var routes = false
  /// Next hops or the headers towards them may have changed.
  var adjacencies = false
  /// Settings or states of ports have changed.
  var ports = false
  /// Routers, or VNIs that they join, have changed.
  var routers = false
  /// What taps and probes of the slow path follow has changed, without any port.
  var slowPath = false
  /// VNIs whose settings have changed.
  var vnis: Set<VNI> = []
  /// Domains that got or lost a port, or a port that is up.
  var domains: Set<DomainIndex> = []
  /// Nobody knows which VNIs have to join or leave a group: all are looked at.
  var memberships = false
  /// Static or controller entries may have to change though no port and no VNI has.
  var controllerEntries = false

  // What follows leaves something behind that no worker may use any more.

  /// Indexes of ports behind which nothing is known any more.
  var silentPorts: Set<PortIndex> = []
  var unbound: Set<Unbound> = []
  var goneDomains: Set<DomainIndex> = []
  var gonePorts: Set<PortIndex> = []
  var goneVTEPs: Set<VTEPIndex> = []
  /// The table is about to name VTEPs, ports or domains that no worker knows yet.
  var hasNewIndexes = false
  /// Lists or entries of lists have gone.
  var hasGoneACLs = false
  var closing: [Closing] = []

  /// A device, and what is held for it, that goes when no worker uses it any more.
  struct Closing {
    var device: FrameDevice?
    var hostSide = HostSide()
    var subject: String
  }

  /// Workers have to be done with an earlier snapshot before the rest can follow.
  var mustWait: Bool {
    hasNewIndexes || !silentPorts.isEmpty || !unbound.isEmpty || !goneDomains.isEmpty || !gonePorts.isEmpty || !goneVTEPs.isEmpty
      || !closing.isEmpty || hasGoneACLs
  }

  var changesSnapshot: Bool { routes || adjacencies || ports || routers || !vnis.isEmpty || !domains.isEmpty || mustWait }

  var isEmpty: Bool { !changesSnapshot && !slowPath && !memberships && !controllerEntries }
}

/// A place whose domain has changed, or that has one no more.
struct Unbound: Hashable {
  var domain: DomainIndex
  var place: MACLocation
}
