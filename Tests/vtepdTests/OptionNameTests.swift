// How the daemon's refusals name what is wrong: as it is spelled on the command line.

import Testing

@testable import vtepctl

@Suite struct OptionNameTests {
  @Test(arguments: [
    ("src_mac is missing: no address is known there", "--src-mac is missing: no address is known there"),
    ("name the port, or the VTEP (from_vtep and vni)", "name the port, or the VTEP (--from-vtep and vni)"),
    ("there is no port 'my_port'; from_vtep, x", "there is no port 'my_port'; --from-vtep, x"),
    ("it's from_vtep's business", "it's from_vtep's business"),
  ])
  func namesAreOptions(message: String, printed: String) {
    #expect(EntryPoint.optionNames(in: message) == printed)
  }
}
