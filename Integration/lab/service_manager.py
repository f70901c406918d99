"""What systemd does for a daemon with FileDescriptorStoreMax=: it keeps the descriptors that the daemon sends (sd_notify, FDSTORE=1) and
gives them to the next one (sd_listen_fds). Everything passes through the same sockets and variables, so the daemon cannot tell."""
import os
import select
import socket
import threading

# bash moves the descriptors to 3 and above, and becomes the daemon: LISTEN_PID is its process.
LAUNCH = r'''number=3
for descriptor in $KEPT; do
  eval "exec $number<&$descriptor $descriptor<&-"
  number=$((number + 1))
done
unset KEPT
LISTEN_PID=$$ exec "$@"'''


class ServiceManager:
    def __init__(self, lab):
        self.lab, self.kept, self.states = lab, {}, []
        self.path = lab.directory / f"notify-{os.urandom(3).hex()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        lab.on_close(self.end)

    def listen(self):
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 253)
            except OSError:
                return
            if data == b"END":
                return
            lines = data.decode().splitlines()
            values = dict(line.split("=", 1) for line in lines)
            with self.lock:
                self.states.extend(lines)
                if values.get("FDSTORE") == "1":
                    self.kept.setdefault(values.get("FDNAME", "stored"), []).extend(descriptors)
                    continue
                if values.get("FDSTOREREMOVE") == "1":
                    for descriptor in self.kept.pop(values["FDNAME"], []):
                        os.close(descriptor)
            for descriptor in descriptors:
                os.close(descriptor)

    def drop_dead(self):
        """systemd lets go of descriptors that report an error."""
        for name, descriptors in list(self.kept.items()):
            poller = select.poll()
            for descriptor in descriptors:
                poller.register(descriptor, 0)
            if poller.poll(0):
                for descriptor in self.kept.pop(name):
                    os.close(descriptor)

    def start(self, daemon, wait=True):
        with self.lock:
            self.drop_dead()
            named = [(name, descriptor) for name, descriptors in self.kept.items() for descriptor in descriptors]
            # Above the numbers that they will have.
            high = [os.dup2(descriptor, 500 + index, inheritable=True) for index, (_, descriptor) in enumerate(named)]
        environment = {"NOTIFY_SOCKET": str(self.path)}
        prefix = ()
        if named:
            environment |= {"LISTEN_FDS": str(len(named)), "LISTEN_FDNAMES": ":".join(name for name, _ in named),
                            "KEPT": " ".join(map(str, high))}
            prefix = ("bash", "-c", LAUNCH, "bash")
        daemon.environment, daemon.descriptors = environment, high
        try:
            daemon.start(wait, prefix=prefix)
        finally:
            for descriptor in high:
                os.close(descriptor)
            daemon.environment, daemon.descriptors = {}, []
        return daemon

    def restart(self, daemon, wait=True):
        """As `systemctl restart` does."""
        status = daemon.stop()
        assert status == 0, f"exit status {status}:\n{daemon.log()}"
        return self.start(daemon, wait)

    def let_go(self):
        """The service is stopped for good."""
        with self.lock:
            for descriptors in self.kept.values():
                for descriptor in descriptors:
                    os.close(descriptor)
            self.kept = {}

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"END", str(self.path))
        self.thread.join(10)
        self.socket.close()
        self.let_go()
