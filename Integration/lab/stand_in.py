"""A virtual machine without the machine: DPDK's virtio driver at a vhost-user socket, and the kernel as the guest.

    guest's kernel (namespace) ── tap eth0 ── dpdk-testpmd ── net_virtio_user ── socket ── vtepd

It starts in two seconds, and behaves like a guest with DPDK inside. testpmd polls, so it runs at low priority, and it ends with the
lab.
"""
import os
import pathlib

from .hosts import Guest
from .namespaces import wait_until


class StandIn(Guest):
    """A guest whose eth0 is behind virtio-user.

    `socket_path` is the vhost-user socket and `role` is vtepd's, as for VirtualMachine. `options` are those of net_virtio_user, for
    instance packed_vq=1 or mrg_rxbuf=0.
    """

    # How much CPU time it may use, in case nobody stops it.
    CPU_SECONDS = 300

    def __init__(self, lab, name, number, socket_path, role="client", queues=1, mtu=None, subnet=0, **options):
        super().__init__(lab, name, number, subnet)
        self.socket_path, self.role, self.queues, self.mtu = pathlib.Path(socket_path), role, queues, mtu
        self.options = options
        self.process = None

    def start(self):
        """Starts testpmd, which continues once vtepd is at the other end of the socket; see `wait_booted`."""
        if self.role == "client":
            self.socket_path.unlink(missing_ok=True)
        else:
            wait_until(self.socket_path.exists, f"{self.socket_path} is there")
        processors = ",".join(map(str, os.sched_getaffinity(0)))
        with open(self.scratch / "testpmd.log", "ab") as log:
            self.process = self.namespace.popen(
                "setpriv", "--pdeathsig=KILL", "prlimit", f"--cpu={self.CPU_SECONDS}", "nice", "-n", "10",
                "dpdk-testpmd", f"--lcores=0@({processors}),1@({processors})", "--no-pci", "--no-huge", "-m", "64", "--no-telemetry",
                "--vdev", self.virtual_device(), "--vdev", f"net_tap0,iface=eth0,mac={self.mac}", "--",
                "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=8192", "--stats-period=600", "--no-flush-rx",
                f"--rxq={self.queues}", f"--txq={self.queues}",
                stdout=log, stderr=log, env={**os.environ, "RUNTIME_DIRECTORY": str(self.scratch)})
        self.lab.on_close(self.kill)
        return self

    def virtual_device(self):
        """DPDK's device at vtepd's socket."""
        virtio = {"path": self.socket_path, "mac": self.mac, "queues": self.queues, "queue_size": 1024, **self.options}
        if self.role == "client":
            virtio["server"] = 1
        return "net_virtio_user0" + "".join(f",{key}={value}" for key, value in virtio.items())

    def wait_booted(self, seconds=60):
        """Waits for the tap and configures the guest's addresses."""
        wait_until(self.forwards, lambda: f"{self.name} forwards:\n{self.log()[-3000:]}", seconds)
        return self.use("eth0", self.mtu)

    def forwards(self):
        assert self.process.poll() is None, f"testpmd of {self.name} ended with status {self.process.returncode}:\n{self.log()}"
        return "start packet forwarding" in self.log()

    def kill(self):
        """Kills it, like a crash."""
        self.process.kill()
        self.process.wait()
        (self.scratch / "testpmd.log").unlink(missing_ok=True)

    def log(self):
        path = self.scratch / "testpmd.log"
        return path.read_text(errors="replace") if path.exists() else ""
