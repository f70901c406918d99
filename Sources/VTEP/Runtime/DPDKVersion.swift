// DPDKVersion: compares the DPDK release whose headers are compiled in with the one whose libraries are loaded.

import CDPDK

/// A version of DPDK, such as 22.11.7: the release of November 2022, and its seventh point release.
struct DPDKVersion: Equatable, CustomStringConvertible {
  var year: UInt32
  var month: UInt32
  var point: UInt32

  /// The version of the headers that are compiled in.
  static let built = DPDKVersion(year: UInt32(RTE_VER_YEAR), month: UInt32(RTE_VER_MONTH), point: UInt32(RTE_VER_MINOR))
  /// The version of the loaded libraries.
  static var loaded: DPDKVersion { DPDKVersion(String(cString: rte_version())) }

  var description: String { "\(year).\(month).\(point)" }

  /// Inlined functions depend on the libraries' structure layouts. These are stable within a release, so a different point release
  /// only deserves a log line. They differ between the releases of one year, which the dynamic linker accepts as compatible.
  ///
  /// - Returns: a line for the log when the point releases differ.
  /// - Throws: `.environment` when the releases differ.
  func difference(from loaded: DPDKVersion) throws(VTEPError) -> String? {
    guard (year, month) == (loaded.year, loaded.month) else {
      throw VTEPError(
        .environment, "DPDK", "vtepd was built with \(self), but \(loaded) is loaded",
        remedy: "install the libraries of DPDK \(year).\(month), or build vtepd again where \(loaded) is installed")
    }
    return self == loaded ? nil : "DPDK: built with \(self), running with \(loaded), which is compatible"
  }
}

extension DPDKVersion {
  /// Parses the result of `rte_version()`: "DPDK 22.11.7", possibly with a suffix such as "-rc1". Missing numbers are 0.
  init(_ text: String) {
    let numbers = text.split { !$0.isNumber }.compactMap { UInt32($0) } + [0, 0, 0]
    self.init(year: numbers[0], month: numbers[1], point: numbers[2])
  }
}
