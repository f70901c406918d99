"""A real ovsdb-server with the hardware_vtep schema, and vtep-ctl as the controller."""
import json
import signal

from .namespaces import run, wait_until

SCHEMA = "/usr/share/openvswitch/vtep.ovsschema"


class OvsdbServer:
    """One server on one database, with a Unix socket `socket` and further remotes."""

    def __init__(self, namespace, name="db", remotes=(), options=(), create=True):
        self.namespace, self.lab, self.name = namespace, namespace.lab, name
        self.directory = self.lab.directory / f"{namespace.name}-{name}"
        self.directory.mkdir()
        self.database, self.socket, self.control = (self.directory / file for file in ("vtep.db", "sock", "ctl"))
        self.remotes, self.options = list(remotes), list(options)
        self.process = None
        if create:
            run("ovsdb-tool", "create", self.database, SCHEMA)

    def start(self):
        with open(self.directory / "log", "a") as log:
            self.process = self.namespace.popen(
                "ovsdb-server", f"--unixctl={self.control}", f"--remote=punix:{self.socket}", "--remote=db:hardware_vtep,Global,managers",
                *(f"--remote={remote}" for remote in self.remotes), *self.options, self.database, stdout=log, stderr=log)
        wait_until(lambda: self.appctl("version", check=False).returncode == 0, lambda: f"ovsdb-server answers:\n{self.log()}")
        return self

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def stop(self, with_signal=signal.SIGTERM):
        self.process.send_signal(with_signal)
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def appctl(self, *arguments, **options):
        return run("ovs-appctl", "--timeout=10", "-t", self.control, *arguments, **options)

    def vtep_ctl(self, *arguments, **options):
        return vtep_ctl(f"unix:{self.socket}", *arguments, namespace=self.namespace, **options)

    def transact(self, *operations):
        """Raw operations of RFC 7047; returns their results."""
        return transact(f"unix:{self.socket}", *operations, namespace=self.namespace)


def vtep_ctl(remote, *arguments, namespace=None, **options):
    """Runs a command as the controller; returns its output."""
    words = ("vtep-ctl", "--timeout=30", f"--db={remote}", *arguments)
    return (namespace.run(*words, **options) if namespace else run(*words, **options)).stdout.strip()


def transact(remote, *operations, namespace=None):
    words = ("ovsdb-client", "--timeout=30", "transact", remote, json.dumps(["hardware_vtep", *operations]))
    return json.loads((namespace.run(*words) if namespace else run(*words)).stdout)
