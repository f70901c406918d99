// VanishedMemory: a guest's memory is a file of the hypervisor. If it is shorter than announced, or truncated later, the kernel
// sends SIGBUS to the thread that touches the missing part: the vhost library's, or a worker. The handler replaces the page
// with an empty one, so that the thread continues, and the reconciler takes the port down.

import CDPDK
import Glibc
import Synchronization

enum VanishedMemory {
  /// Address of the last missing page that was touched; 0 = none since the last query.
  private static let lastPage = Atomic<UInt>(0)

  /// Installs the SIGBUS handler for the whole process.
  static func guardThreads() {
    // The first use of a global initialises it, which must not happen in a signal handler.
    lastPage.store(0, ordering: .sequentiallyConsistent)
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = handler
    action.sa_flags = SA_SIGINFO
    sigaction(SIGBUS, &action, nil)
  }

  /// A missing address that was touched since the last call.
  static func takeAddress() -> UInt? {
    let page = lastPage.exchange(0, ordering: .sequentiallyConsistent)
    return page == 0 ? nil : page
  }

  /// Only system calls here: the handler runs wherever the fault was.
  private static let handler: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
    _, info, _ in
    let address = cdpdk_fault_address(info)
    // The second attempt is for files with 2 MiB pages, which can only be replaced whole.
    if address != 0, cdpdk_replace_page(address, 4096) == 0 || cdpdk_replace_page(address, 2_097_152) == 0 {
      lastPage.store(address, ordering: .sequentiallyConsistent)
      return
    }
    // Not a guest's memory: the instruction faults again and terminates the process, as without the handler.
    signal(SIGBUS, SIG_DFL)
  }
}
