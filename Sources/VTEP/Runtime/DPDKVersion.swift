// DPDKVersion: the release whose headers are inlined here, and the one whose libraries are loaded.

import CDPDK

/// A version of DPDK, such as 22.11.7: the release of November 2022, and its seventh point release.
struct DPDKVersion: Equatable, CustomStringConvertible {
  var year: UInt32
  var month: UInt32
  var point: UInt32

  /// Of the headers that this was compiled with.
  static let built = DPDKVersion(year: UInt32(RTE_VER_YEAR), month: UInt32(RTE_VER_MONTH), point: UInt32(RTE_VER_MINOR))
  /// Of the libraries that the process runs with.
  static var loaded: DPDKVersion { DPDKVersion(String(cString: rte_version())) }

  var description: String { "\(year).\(month).\(point)" }

  /// Inlined functions reach into structures that the libraries lay out. Within a release the layout stays, and another point release
  /// is only worth a line in the log. The dynamic linker lets releases of one year pass, and those differ.
  ///
  /// - Returns: a line for the log when the point releases differ.
  /// - Throws: `.environment` when the releases differ.
  func difference(from loaded: DPDKVersion) throws(VTEPError) -> String? {
    guard (year, month) == (loaded.year, loaded.month) else {
      throw VTEPError(
        .environment, "DPDK", "vtepd was built with \(self), and \(loaded) is loaded",
        remedy: "install the libraries of DPDK \(year).\(month), or build vtepd again where \(loaded) is installed")
    }
    return self == loaded ? nil : "DPDK: built with \(self), running with \(loaded), which is compatible"
  }
}

extension DPDKVersion {
  /// From what `rte_version()` says: "DPDK 22.11.7", with a suffix such as "-rc1" before a release. What is missing is 0.
  init(_ text: String) {
    let numbers = text.split { !$0.isNumber }.compactMap { UInt32($0) } + [0, 0, 0]
    self.init(year: numbers[0], month: numbers[1], point: numbers[2])
  }
}
