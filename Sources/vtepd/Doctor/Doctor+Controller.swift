// Doctor+Controller: the certificates and revocation lists for the connection to the controller's database, and the clock that judges them.

import Glibc
import OVSDBClient

extension Doctor {
  private static let daySeconds = 86_400
  /// A certificate that ends earlier is reported.
  private static let noticeDays = 30

  static func certificates(_ facts: DoctorFacts) -> [Finding] {
    guard let certificates = facts.certificates else { return [.ok("ovsdb names no certificates")] }
    var findings: [Finding] = []
    if facts.now < facts.builtAt {
      findings.append(
        .error(
          "the clock says \(date(facts.now)), but vtepd was built on \(date(facts.builtAt))", of: "clock",
          "the clock is wrong: valid certificates are taken for invalid ones", remedy: "set it (chronyd, systemd-timesyncd)"))
    }
    if let problem = certificates.problem {
      findings.append(
        .error(
          problem.subject.isEmpty ? "the files of ovsdb" : problem.subject, of: "ovsdb", problem.message,
          remedy: problem.remedy.isEmpty ? nil : problem.remedy))
    }
    return findings + certificates.inspected.map { certificate($0, facts.now) }
  }

  private static func certificate(_ certificate: CertificateValidity, _ now: Int) -> Finding {
    if certificate.kind == .revocationList { return revocationList(certificate, now) }
    let found = "\(certificate.subject): valid from \(date(certificate.notBefore)) to \(date(certificate.notAfter))"
    let remedy = "replace it in \(certificate.path); the next connection uses it (kill -HUP vtepd's process: at once)"
    if now < certificate.notBefore {
      return .error(
        found, of: certificate.path, "it is not valid yet: now it is \(date(now))", remedy: "correct the clock, or \(remedy)")
    }
    if now > certificate.notAfter {
      return .error(found, of: certificate.path, "it has expired", remedy: remedy)
    }
    let days = (certificate.notAfter - now) / daySeconds
    guard days >= noticeDays else {
      return .warning(found, of: certificate.path, "it expires in \(days) day\(days == 1 ? "" : "s")", remedy: remedy)
    }
    return .ok(found, of: certificate.path)
  }

  /// A list is replaced often, so there is no notice: only one that is out of force stops connections.
  private static func revocationList(_ list: CertificateValidity, _ now: Int) -> Finding {
    let end = list.notAfter == .max ? "without an end" : "next one due \(date(list.notAfter))"
    let found = "revocation list of \(list.subject) of \(date(list.notBefore)), \(end)"
    let remedy = "fetch the authority's latest list into \(list.path); the next connection uses it (kill -HUP vtepd's process: at once)"
    if now < list.notBefore {
      return .error(found, of: list.path, "it is not valid yet: now it is \(date(now))", remedy: "correct the clock, or \(remedy)")
    }
    guard now > list.notAfter else { return .ok(found, of: list.path) }
    return .error(found, of: list.path, "it has expired, so every peer of that authority is refused", remedy: remedy)
  }

  /// `2026-11-29 16:00 UTC`.
  static func date(_ seconds: Int) -> String {
    var (time, parts) = (time_t(seconds), tm())
    gmtime_r(&time, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(1900 + parts.tm_year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)) UTC"
  }
}
