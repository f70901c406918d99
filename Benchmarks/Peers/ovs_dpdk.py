"""Debian's Open vSwitch with DPDK: database server and switch in one namespace, for scripts/bench-peers and scripts/bench-guests."""
import os
import shutil

from lab.ovn import Daemons

VSWITCHD = os.environ.get("OVS_VSWITCHD", "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
IS_THERE = os.access(VSWITCHD, os.X_OK)
MISSING = f"{VSWITCHD} is missing: install openvswitch-switch-dpdk, or name it in OVS_VSWITCHD"
WORKERS = "pmd-"  # how the names of its forwarding threads begin


class SwitchWithDPDK(Daemons):
    def __init__(self, namespace, workers, rest, pages="--in-memory", **settings):
        """`workers`: processors of the forwarding threads; `rest`: of all others; `pages`: EAL's options about memory; `settings`:
        other_config of the switch, with `_` for `-`."""
        super().__init__(namespace)
        self.database_socket, self.server = self.database("conf", "vswitch")
        self.control = str(self.directory / "vswitchd.ctl")
        options = {"dpdk-init": "true", "pmd-cpu-mask": hex(sum(1 << processor for processor in workers)), "dpdk-lcore-mask": hex(1 << rest),
                   "dpdk-extra": f'"{pages} --no-pci --no-telemetry --file-prefix={namespace.full_name}"',
                   **{key.replace("_", "-"): value for key, value in settings.items()}}
        self.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".", *(f"other_config:{key}={value}" for key, value in options.items()))
        self.process = self.start("vswitchd", VSWITCHD, self.database_socket, "--disable-system", f"--unixctl={self.control}")

    def vsctl(self, *arguments):
        return self.run("ovs-vsctl", "--timeout=60", f"--db={self.database_socket}", *arguments).stdout.strip()

    def appctl(self, *arguments):
        return self.run("ovs-appctl", "--timeout=60", "-t", self.control, *arguments).stdout

    def add_bridge(self, name, fail_mode, *settings):
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", f"fail_mode={fail_mode}", *settings)

    def add_port(self, bridge, name, *settings):
        self.vsctl("add-port", bridge, name, "--", "set", "Interface", name, *settings)
        error = self.vsctl("get", "Interface", name, "error")
        assert error == "[]", f"{name}: {error}"

    def log(self):
        return (self.directory / "vswitchd.log").read_text(errors="replace")

    def stop(self):
        for process in (self.process, self.server):
            process.terminate()
            process.wait(60)
        shutil.rmtree(self.directory)
