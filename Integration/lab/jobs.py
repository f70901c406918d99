"""Commands in the background of a guest, namespace or virtual machine, of which no process remains."""
import itertools

NUMBERS = itertools.count(1)


class Job:
    """A busybox command without single quotes, which runs in a session of its own until the end of `with` at the latest."""

    def __init__(self, guest, command):
        self.guest, self.status = guest, f"{guest.scratch}/status-{next(NUMBERS)}"
        # $! is the session: the shell's background process leads no group, so setsid needs no other one.
        self.session = int(guest.shell(f"busybox setsid busybox sh -c '{command}; echo $? >{self.status}' </dev/null >/dev/null 2>&1 & echo $!"))

    def wait(self, seconds):
        """Returns the exit status; None: the command has not ended by then."""
        output = self.guest.shell(f"end=$(($(date +%s)+{seconds})); until [ -s {self.status} ] || [ $(date +%s) -gt $end ]; do usleep 50000; done; "
                                  f"cat {self.status} 2>/dev/null", check=False, seconds=seconds + 30)[1]
        return int(output) if output.strip() else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.guest.shell(f"kill -KILL -{self.session} 2>/dev/null; rm -f {self.status}", check=False)


def listen(guest, port, command):
    """A Job that listens to a TCP port by now."""
    job = Job(guest, command)
    try:
        guest.shell(f"until netstat -lnt | grep -q ':{port} '; do [ ! -e {job.status} ] || exit 1; usleep 20000; done")
    except BaseException:
        job.__exit__()
        raise
    return job
