// Doctor: the checks of `vtepctl doctor`, each a function of `DoctorFacts`. Aspects: +Process (kernel, permissions, memory, processors),
// +Underlay (interfaces, NICs, paths), +Multicast, +Controller.

import VTEPControl

enum Doctor {
  /// In the order in which they are printed.
  static let checks: [(name: String, check: @Sendable (DoctorFacts) -> [Finding])] = [
    ("kernel", kernel), ("permissions", permissions), ("descriptors", descriptors), ("hugepages", hugepages), ("cores", cores),
    ("nic", nics), ("underlay", uplinks), ("udp-port", udpPort), ("offloads", offloads), ("paths", paths), ("mtu", mtu),
    ("multicast", multicast), ("neighbors", neighbors), ("ports", ports), ("certificates", certificates),
  ]

  /// A finding of one check.
  struct Finding {
    var subject: String?
    var status = DoctorFinding.Status.ok
    var found: String
    var cause: String?
    var remedy: String?

    static func ok(_ found: String, of subject: String? = nil) -> Finding { Finding(subject: subject, found: found) }

    static func warning(_ found: String, of subject: String? = nil, _ cause: String, remedy: String? = nil) -> Finding {
      Finding(subject: subject, status: .warning, found: found, cause: cause, remedy: remedy)
    }

    static func error(_ found: String, of subject: String? = nil, _ cause: String, remedy: String? = nil) -> Finding {
      Finding(subject: subject, status: .error, found: found, cause: cause, remedy: remedy)
    }
  }

  /// Most findings of one check with the same status: 8,000 VTEPs may have the same trouble.
  private static let limit = 50

  static func findings(_ facts: DoctorFacts) -> [DoctorFinding] {
    checks.flatMap { name, check -> [DoctorFinding] in
      let all = check(facts)
      let shown = DoctorFinding.Status.allCases.flatMap { status -> [Finding] in
        let same = all.filter { $0.status == status }
        guard same.count > limit else { return same }
        return Array(same.prefix(limit)) + [Finding(status: status, found: "\(same.count - limit) more like these")]
      }
      return shown.map {
        DoctorFinding(check: name, subject: $0.subject, status: $0.status, found: $0.found, cause: $0.cause, remedy: $0.remedy)
      }
    }
  }
}
