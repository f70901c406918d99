#!/bin/bash
# 2026-11-28, Swift 6.3.1 (Linux, x86-64), SwiftPM's default build system.
#
# SwiftPM does not notice a changed header of a systemLibrary target: through any number of builds the program keeps what it inlined
# from the old header, although it is linked with the new library. This affects every library with static inline functions, macros
# or structures in its headers, whenever its -dev package is upgraded.
#
# A version number that Package.swift reads from a file (a .pc file, say) and passes in the compiler's flags does not help either:
# SwiftPM caches the evaluated manifest, and does not evaluate it again when that file changes.
#
# A C target with one file that includes the header, as a dependency of the Swift target, does help.
#
# Output seen:
#   header returns 1: program says 1
#   header returns 2: program says 1
#   header returns 2, version file changed: program says 1
#   with a C file that includes the header: program says 2
#   header returns 3: program says 3
set -euo pipefail

version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p')"
[ "$version" = 6.3.1 ] || { echo "wants Swift 6.3.1, and this is ${version:-none}" >&2; exit 2; }

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p library Sources/CThing Sources/App Sources/CThingHeaders
echo 'module CThing { header "shim.h" export * }' >Sources/CThing/module.modulemap
echo "#include \"$folder/library/thing.h\"" >Sources/CThing/shim.h
printf 'import CThing\nprint(thing())\n' >Sources/App/main.swift
header() { echo "static inline int thing(void) { return $1; }" >library/thing.h; }
manifest() { # manifest TARGETS DEPENDENCIES
  cat >Package.swift <<SWIFT
// swift-tools-version: 6.2
import Foundation
import PackageDescription

let version = try! String(contentsOfFile: "$folder/library/version", encoding: .utf8).prefix { \$0 != "\n" }
let package = Package(
  name: "App",
  targets: [
    .systemLibrary(name: "CThing"),
    $1
    .executableTarget(name: "App", dependencies: ["CThing"$2], swiftSettings: [.unsafeFlags(["-Xcc", "-DTHING_VERSION=\(version)"])]),
  ])
SWIFT
}
said=()
build() { # build WHAT
  swift build -c release >build.log 2>&1 || { cat build.log >&2; exit 2; }
  said+=("$(.build/release/App)")
  echo "$1: program says ${said[-1]}"
}

echo 1 >library/version
header 1
manifest "" ""
build "header returns 1"
header 2
build "header returns 2"
echo 2 >library/version
build "header returns 2, version file changed"
echo '#include "../CThing/shim.h"' >Sources/CThingHeaders/headers.c
manifest '.target(name: "CThingHeaders", dependencies: ["CThing"], publicHeadersPath: "."),' ', "CThingHeaders"'
build "with a C file that includes the header"
header 3
build "header returns 3"

[ "${said[*]}" = "1 1 1 2 3" ] || { echo "the behaviour has changed" >&2; exit 1; }
