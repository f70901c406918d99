// swift-tools-version: 6.2
// The package: one target per module of docs/architecture.md, with only the imports that the module graph allows (checked by
// scripts/lint).
import PackageDescription

/// The processor that the packet path is compiled for: `make build MARCH=native` for this machine's, otherwise what packages can rely
/// on. DPDK's static-inline functions use SSE4.2 on x86-64, in C and in the Swift code that inlines them.
#if arch(x86_64)
  let march = Context.environment["MARCH"].flatMap { $0.isEmpty ? nil : $0 } ?? "x86-64-v2"
  let dpdkFlags = ["-march=\(march)"]
#else
  let dpdkFlags = Context.environment["MARCH"].flatMap { $0.isEmpty ? nil : ["-mcpu=\($0)"] } ?? []
#endif
let dpdkSettings: [SwiftSetting] = [.unsafeFlags(dpdkFlags.flatMap { ["-Xcc", $0] })]
/// Header views are `~Escapable` and need lifetime annotations; the packet path requires inlining (Swift 6.3 supports that without
/// the switch).
let viewSettings: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"), .enableExperimentalFeature("InlineAlways"),
]

/// SwiftPM ignores changes in a system library's headers, but tracks the headers that a C file includes. So everything that imports
/// the library also depends on such a file, and is recompiled after an upgrade, with the functions that it inlines.
func headers(of library: String, flags: [String] = []) -> Target {
  .target(
    name: library + "Headers", dependencies: [.target(name: library)], publicHeadersPath: ".",
    cSettings: [.unsafeFlags(flags + ["-w"])])
}

/// The output of scripts/version, if make runs the build. It affects only one C file, so a commit does not recompile everything.
let versionSettings: [CSetting] =
  Context.environment["VTEPD_VERSION"].map { [.define("VTEPD_VERSION", to: "\"\($0)\"")] } ?? []

/// What the fuzz targets need access to, and the fixtures that they share with the tests.
let fuzzDependencies: [Target.Dependency] = [
  "Encap", "MACTable", "Netlink", "CMNL", "VTEP", "CDPDK", "CDPDKHeaders", "OVSDBClient", "VTEPControl", "vtepd", "VTEPTests", "vtepdTests",
  .product(name: "NIOCore", package: "swift-nio"),
]

let package = Package(
  name: "vtepd",
  products: [
    .executable(name: "vtepd", targets: ["vtepd"]),
    .executable(name: "vtepctl", targets: ["vtepctl"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
  ],
  targets: [
    // SwiftPM cannot parse libdpdk.pc (multi-line Description) and drops its flags; our own file has only -I and -l.
    .systemLibrary(name: "CDPDK", pkgConfig: "\(Context.packageDirectory)/pkgconfig/vtep-dpdk.pc"),
    .systemLibrary(name: "CEncap"),
    .systemLibrary(name: "CBPF", pkgConfig: "libbpf"),
    .systemLibrary(name: "CMNL", pkgConfig: "libmnl"),
    .systemLibrary(name: "CSpawn"),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1"),
    headers(of: "CDPDK", flags: dpdkFlags), headers(of: "CBPF"), headers(of: "CMNL"), headers(of: "COpenSSL"), headers(of: "CYAML"),

    .target(name: "Encap", dependencies: ["CEncap"], swiftSettings: viewSettings + dpdkSettings),
    .target(name: "MACTable", dependencies: ["Encap"], swiftSettings: dpdkSettings),
    .target(name: "MulticastLearn", dependencies: ["Encap", "MACTable"]),
    .target(name: "Netlink", dependencies: ["CBPF", "CBPFHeaders", "CMNL", "CMNLHeaders", "Encap"]),
    .target(
      name: "VTEP",
      dependencies: [
        "Encap", "MACTable", "MulticastLearn", "Netlink", "CDPDK", "CDPDKHeaders", "CPCAP",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: viewSettings + dpdkSettings,
      // Ours are for DPDK, too (BackEnd.swift, DPDKRuntime.swift); the linker takes its connect@GLIBC_2.2.5 for another symbol.
      linkerSettings: [
        .unsafeFlags(["-Xlinker", "--export-dynamic-symbol=connect", "-Xlinker", "--export-dynamic-symbol=nanosleep"])
      ]),
    .target(name: "CVersion", cSettings: versionSettings),
    // Debian 12's valgrind, which counts instructions (scripts/bench-instructions), gives up on DWARF 5.
    .target(name: "CPCAP", cSettings: [.unsafeFlags(["-gdwarf-4"])], linkerSettings: [.linkedLibrary("pcap")]),
    .target(name: "VTEPControl", dependencies: ["CVersion"]),
    // Untyped rows live in persistent hash trees: a snapshot of a table with 100,000 rows costs nothing (docs/decisions/0012).
    .target(
      name: "OVSDBClient",
      dependencies: [
        "COpenSSL", "COpenSSLHeaders",
        .product(name: "HashTreeCollections", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: viewSettings),
    .executableTarget(
      name: "vtepd",
      dependencies: [
        "VTEP", "Encap", "MACTable", "MulticastLearn", "Netlink", "OVSDBClient", "VTEPControl", "CSpawn", "CYAML", "CYAMLHeaders",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: dpdkSettings),
    .executableTarget(
      name: "vtepctl",
      dependencies: [
        "VTEPControl",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .executableTarget(
      name: "vtepd-bench",
      dependencies: [
        "VTEP", "Encap", "MACTable", "CDPDK", "CDPDKHeaders", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      path: "Benchmarks/Pipeline",
      swiftSettings: viewSettings + dpdkSettings,
      // The peer of the MAC table.
      linkerSettings: [.linkedLibrary("rte_hash")]),

    .executableTarget(
      name: "ovsdb-bench",
      dependencies: [
        "OVSDBClient", .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Logging", package: "swift-log"),
      ],
      path: "Benchmarks/OVSDB"),

    .testTarget(name: "EncapTests", dependencies: ["Encap"], swiftSettings: viewSettings),
    .testTarget(name: "MACTableTests", dependencies: ["MACTable", "Encap"]),
    .testTarget(name: "MulticastLearnTests", dependencies: ["MulticastLearn", "Encap", "MACTable"]),
    .testTarget(name: "NetlinkTests", dependencies: ["Netlink", "Encap"]),
    .testTarget(
      name: "VTEPTests", dependencies: ["VTEP", "Encap", "MACTable", "MulticastLearn", "Netlink", "CDPDK", "CDPDKHeaders"],
      swiftSettings: viewSettings + dpdkSettings,
      // DPDK's own segmentation, which cuts what vtepd leaves to NICs.
      linkerSettings: [.linkedLibrary("rte_gso")]),
    .testTarget(name: "VTEPControlTests", dependencies: ["VTEPControl"]),
    .testTarget(
      name: "OVSDBClientTests",
      dependencies: [
        "OVSDBClient", "COpenSSL", "COpenSSLHeaders",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      exclude: ["Fixtures"]),
    .testTarget(
      name: "vtepdTests",
      dependencies: [
        "vtepd", "vtepctl", "VTEP", "VTEPControl", "MulticastLearn", "Netlink", "Encap", "OVSDBClient",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    // Replays the seeds of all fuzz targets.
    .testTarget(
      name: "FuzzTests", dependencies: fuzzDependencies, path: "Fuzz", exclude: ["Fuzzer.swift", "hostile-packets", "seeds"],
      swiftSettings: viewSettings + dpdkSettings),
  ]
)

// libFuzzer brings its own main and instruments everything, so this is built only on request of scripts/fuzz, in a folder of its
// own: the fuzz targets become a program, the shared fixtures become libraries, and so does the daemon, without its main.
if Context.environment["VTEPD_FUZZ"] != nil, let daemon = package.targets.first(where: { $0.name == "vtepd" }) {
  package.products = []
  package.targets.removeAll { $0.type == .test || $0.type == .executable }
  package.targets += [
    .target(
      name: "vtepd", dependencies: daemon.dependencies,
      swiftSettings: dpdkSettings + [.unsafeFlags(["-Xfrontend", "-entry-point-function-name", "-Xfrontend", "vtepd_main"])]),
    .target(
      name: "VTEPTests", dependencies: ["VTEP", "Encap", "MACTable", "CDPDK", "CDPDKHeaders"], path: "Tests/VTEPTests/Fixture",
      exclude: ["DataplaneFixture+Expect.swift", "DataplaneTests.swift"],
      swiftSettings: viewSettings + dpdkSettings),
    .target(
      name: "vtepdTests", dependencies: ["vtepd", "VTEP", "VTEPControl", "Encap"], path: "Tests/vtepdTests",
      sources: ["FullConfiguration.swift", "RecordingHandler.swift"], swiftSettings: dpdkSettings),
    .executableTarget(
      name: "fuzz", dependencies: fuzzDependencies, path: "Fuzz", exclude: ["hostile-packets", "seeds", "Replay"],
      swiftSettings: viewSettings + dpdkSettings),
  ]
}
