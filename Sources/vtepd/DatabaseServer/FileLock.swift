// FileLock: which process holds a lock on a file. Open vSwitch's programs lock their database and their pid file while they run.
// Unlike the pid in a file, which may have been reused, a lock is reliable. fcntl(2), "Advisory record locking".

import Glibc

enum FileLock {
  /// The process that has the file locked; nil if it is not locked or does not exist.
  static func holder(of path: String) -> pid_t? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    guard fcntl(descriptor, F_GETLK, &lock) == 0, lock.l_type != Int16(F_UNLCK), lock.l_pid > 0 else { return nil }
    return lock.l_pid
  }
}
