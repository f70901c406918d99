// NextFunction: functions of ours take the place of some of the C library's and of DPDK's for every caller in this process (`@_cdecl`), and
// call those in whose place they are.

import Glibc

/// The next function of a name after ours, in the order in which libraries are searched (RTLD_NEXT of dlsym(3)).
///
/// - Parameter type: of a C function.
/// - Precondition: a library of this process has it.
func nextFunction<Function>(_ name: String, as type: Function.Type) -> Function {
  let rtldNext = UnsafeMutableRawPointer(bitPattern: -1)
  return unsafeBitCast(dlsym(rtldNext, name), to: type)
}
