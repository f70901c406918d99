"""OpenStack's networking-l2gw as the controller: its agent and its plugin in one process (l2gw_program.py)."""
import json

from .json_program import JSONProgram
from .namespaces import wait_until

NAME = "ovsdb1"


class L2GatewayAgent(JSONProgram):
    """`options` are those of the agent's section [ovsdb]; `world` is what Neutron knows (l2gw_program.py)."""

    def __init__(self, namespace, options, world):
        self.directory = namespace.lab.directory / "l2gw"
        self.directory.mkdir(exist_ok=True)
        self.log_path = self.directory / "agent.log"
        self.options, self.world = options, world
        super().__init__(namespace, "l2gw_program.py")

    def start(self):
        settings = {"log": str(self.log_path), "database": str(self.directory / "neutron.sqlite"), "ovsdb": self.options, "world": self.world}
        self.arguments = [json.dumps(settings)]
        super().start()
        self("monitor")
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")[-3000:] if self.log_path.exists() else ""

    def wait_ports(self, *names):
        """Until the plugin knows these ports, and no fault of the switch."""
        def found():
            tables = self("tables")
            return ({row["name"] for row in tables["PhysicalPorts"]} >= set(names)
                    and all(row["switch_fault_status"] in (None, "", "UP") for row in tables["PhysicalSwitches"]))

        wait_until(found, lambda: f"the plugin knows {names}: {self('tables')}\n{self.log()}")
