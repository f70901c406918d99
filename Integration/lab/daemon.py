"""vtepd under test: one process in one namespace, with configuration, sockets and log in a folder of its own."""
import json
import os
import pathlib
import signal
import subprocess

import yaml

from . import owned
from .namespaces import end_process, run, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VTEPD_BUILD", REPOSITORY / ".build/release"))
VTEPD, VTEPCTL = BUILD / "vtepd", BUILD / "vtepctl"


class Refused(AssertionError):
    """vtepctl failed; `status` is its exit status, `message` its standard error."""

    def __init__(self, arguments, done):
        self.status, self.message = done.returncode, done.stderr.strip()
        super().__init__(f"vtepctl {' '.join(arguments)}: exit status {self.status}: {self.message}")


class Vtepd:
    def __init__(self, namespace, config):
        """`config` is the configuration as Python values, without name and folders."""
        self.namespace, self.lab = namespace, namespace.lab
        self.directory = self.lab.directory / namespace.name
        self.directory.mkdir(exist_ok=True)
        self.config_path, self.log_path = self.directory / "vtepd.yaml", self.directory / "vtepd.log"
        self.socket_path = self.directory / "run/vtepd.sock"
        self.config = {
            "name": namespace.name,
            "run-dir": str(self.directory / "run"),
            "state-dir": str(self.directory / "state"),
            "dataplane": {"memory-mb": 64, "hugepages": "off"},
        }
        self.config.update(config)
        self.set_variant(os.environ)
        self.process, self.environment, self.descriptors = None, {}, ()
        self.write_config()

    def set_variant(self, environment):
        """`make test` covers each variant where it differs; with these variables all tests run over one (docs/architecture.md, Tests).
        What a test names itself stays."""
        driver, underlay, dataplane = environment.get("VTEPD_TEST_DRIVER"), self.config.get("underlay", {}), self.config["dataplane"]
        if driver in owned.SHARED and "device" in underlay:
            if underlay.setdefault("driver", driver) == "af_xdp":
                names = underlay["device"]
                self.namespace.redirected.update(names if isinstance(names, list) else [names])
        if "VTEPD_TEST_WORKERS" in environment:
            dataplane.setdefault("workers", int(environment["VTEPD_TEST_WORKERS"]))
        if environment.get("VTEPD_TEST_HUGEPAGES") == "1" and dataplane.get("hugepages") == "off":
            dataplane["hugepages"] = "required"

    def write_config(self):
        self.config_path.write_text(yaml.safe_dump(owned.translated(self.namespace, self.config), sort_keys=False))

    def own_uplinks(self):
        """Before the start: until then tests prepare their interfaces. Some write the file themselves."""
        try:
            config = yaml.safe_load(self.config_path.read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return
        owned.own(self.namespace, config)
        if isinstance(config, dict) and (changed := owned.translated(self.namespace, config)) is not config:
            self.config_path.write_text(yaml.safe_dump(changed, sort_keys=False))

    def start(self, wait=True, *arguments, prefix=()):
        """`prefix`: a program that becomes the daemon."""
        if owned.is_chosen():
            self.own_uplinks()
        with open(self.log_path, "a") as log:
            self.process = self.namespace.popen(*prefix, VTEPD, "--config", self.config_path, *arguments, stdout=log, stderr=log,
                                                env={**os.environ, **self.environment}, pass_fds=self.descriptors)
        if wait:
            self.wait_running()
        return self

    def wait_running(self):
        def running():
            if self.process.poll() is not None:
                raise AssertionError(f"vtepd ended with status {self.process.returncode}:\n{self.log()}")
            done = run(VTEPCTL, "--socket", self.socket_path, "--format", "json", "status", "--wait", 1, check=False)
            return done.returncode == 0 and json.loads(done.stdout)["state"] == "running"

        wait_until(running, lambda: f"vtepd in {self.namespace.name} is running; its log:\n{self.log()}", 60)

    def stop(self, with_signal=signal.SIGTERM):
        """Sends the signal, waits for the process to end and returns its exit status."""
        self.process.send_signal(with_signal)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            end_process(self.process, 1)
            raise AssertionError(f"vtepd did not stop on signal {with_signal}:\n{self.log()}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def reload(self, seen):
        """Sends SIGHUP, and waits until the log contains another expected line."""
        before = self.log().count(seen)
        self.write_config()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log().count(seen) > before, lambda: f"the log says {seen!r}:\n{self.log()}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ctl(self, *arguments, timeout=30):
        """vtepctl with JSON output; None if it printed nothing. Raises Refused."""
        words = [str(word) for word in arguments]
        done = run(VTEPCTL, "--socket", self.socket_path, "--format", "json", "--timeout", timeout, *words, check=False, timeout=120)
        if done.returncode != 0:
            raise Refused(words, done)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def table(self, *arguments):
        """vtepctl with human-readable output."""
        return run(VTEPCTL, "--socket", self.socket_path, *arguments).stdout

    @property
    def owns_uplinks(self):
        """They belong to DPDK, by VTEPD_TEST_DRIVER."""
        return bool(self.namespace.owned)

    # -- questions that many tests ask --------------------------------------------------------------------------------

    def macs(self, *filters):
        """{MAC address: row} of `show mac-table`."""
        return {row["mac"]: row for row in self.ctl("show", "mac-table", *filters)}

    def port(self, name):
        return next(row for row in self.ctl("show", "ports") if row["name"] == name)

    def vtep(self, address):
        return next((row for row in self.ctl("show", "vteps") if row["address"] == address), None)

    def drops(self):
        """{reason: count} over all ports and VTEPs, only the reasons that occurred."""
        counts = {}
        for row in self.ctl("show", "drops"):
            counts[row["reason"]] = counts.get(row["reason"], 0) + row["count"]
        return {reason: count for reason, count in counts.items() if count}

    def wait_ports_up(self, *names):
        wait_until(
            lambda: all(row["state"] == "up" for row in self.ctl("show", "ports") if not names or row["name"] in names),
            lambda: f"ports of {self.namespace.name} are up: {self.ctl('show', 'ports')}")

    def wait_resolved(self, *addresses):
        """Waits until the next hops of these VTEPs are resolved."""
        for address in addresses:
            wait_until(
                lambda: (self.vtep(address) or {}).get("state") == "resolved",
                lambda: f"{address} is resolved: {self.ctl('show', 'vteps')}\n{self.log()[-3000:]}")

    def ovsdb(self):
        """The row of the first remote of `show ovsdb`."""
        return self.ctl("show", "ovsdb")[0]

    def wait_ovsdb(self, state="ACTIVE", error=None):
        """Waits until a remote is in the state, or reports the error, and returns its row."""
        def found():
            return next((row for row in self.ctl("show", "ovsdb")
                         if row["state"] == state and error is None or error is not None and error in (row["last_error"] or "")), None)

        return wait_until(found, lambda: f"a remote is {state} or says {error!r}: {self.ctl('show', 'ovsdb')}\n{self.log()[-2000:]}")

    def wait_logical_switches(self, count):
        """Waits until the replica has this many logical switches."""
        wait_until(lambda: any(row["logical_switches"] == count for row in self.ctl("show", "ovsdb")),
                   lambda: f"{count} logical switches are known: {self.ctl('show', 'ovsdb')}\n{self.log()[-2000:]}")

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        """CPU time of all its threads so far, in seconds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
