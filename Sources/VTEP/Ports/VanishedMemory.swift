// VanishedMemory: guests' memory is a file of the hypervisor's. When that is shorter than was said, or is cut later, the
// kernel sends SIGBUS to who touches what is not there: the vhost library's thread, or a worker. Here such a page becomes
// an empty one, so that the thread goes on, and the reconciler takes the port down.

import CDPDK
import Glibc
import Synchronization

enum VanishedMemory {
  /// The page that was touched last, as an address; 0 = none since it was asked for.
  private static let lastPage = Atomic<UInt>(0)

  /// Handles SIGBUS of the whole process from now on.
  static func guardThreads() {
    // The first use of a global makes it: not in a signal handler.
    lastPage.store(0, ordering: .sequentiallyConsistent)
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = handler
    action.sa_flags = SA_SIGINFO
    sigaction(SIGBUS, &action, nil)
  }

  /// An address that was touched in vain since the last call.
  static func takeAddress() -> UInt? {
    let page = lastPage.exchange(0, ordering: .sequentiallyConsistent)
    return page == 0 ? nil : page
  }

  /// Nothing but system calls: it runs wherever the fault was.
  private static let handler: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
    _, info, _ in
    let address = cdpdk_fault_address(info)
    // The second for files of 2 MiB pages, of which only whole ones can be replaced.
    if address != 0, cdpdk_replace_page(address, 4096) == 0 || cdpdk_replace_page(address, 2_097_152) == 0 {
      lastPage.store(address, ordering: .sequentiallyConsistent)
      return
    }
    // None of a guest's: the instruction faults again, and the process ends as it would have.
    signal(SIGBUS, SIG_DFL)
  }
}
