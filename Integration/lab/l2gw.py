"""OpenStack's networking-l2gw as the controller: its agent and its plugin in one process (l2gw_program.py)."""
import json
import pathlib
import select
import subprocess

from .namespaces import run, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(__file__).with_name("l2gw_program.py")
NAME = "ovsdb1"


class L2GatewayAgent:
    """`options` are those of the agent's section [ovsdb]; `world` is what Neutron knows (l2gw_program.py)."""

    def __init__(self, namespace, options, world):
        self.namespace, self.options, self.world = namespace, options, world
        self.directory = namespace.lab.directory / "l2gw"
        self.directory.mkdir(exist_ok=True)
        self.log_path = self.directory / "agent.log"
        # From the package index when it is not there yet: minutes.
        self.python = run(REPOSITORY / "scripts/networking-l2gw", timeout=900).stdout.strip()
        self.process = None

    def start(self):
        settings = {"log": str(self.log_path), "database": str(self.directory / "neutron.sqlite"), "ovsdb": self.options, "world": self.world}
        with open(self.directory / "errors", "a") as errors:
            self.process = self.namespace.popen(
                self.python, "-B", "-W", "ignore", PROGRAM, json.dumps(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True)
        assert self.answer(120) == "ready"
        self("monitor")
        return self

    def kill(self):
        """As a crash: what Neutron knows stays."""
        self.process.kill()
        self.process.wait()

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"no answer: {(self.directory / 'errors').read_text()[-2000:]}\n{self.log()}"
        answer = json.loads(line)
        assert "error" not in answer, f"{answer['error']}\n{self.log()}"
        return answer["ok"]

    def __call__(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.answer(60)

    def log(self):
        return self.log_path.read_text(errors="replace")[-3000:] if self.log_path.exists() else ""

    def wait_ports(self, *names):
        """Until the plugin knows these ports, and no fault of the switch."""
        def found():
            tables = self("tables")
            return ({row["name"] for row in tables["PhysicalPorts"]} >= set(names)
                    and all(row["switch_fault_status"] in (None, "", "UP") for row in tables["PhysicalSwitches"]))

        wait_until(found, lambda: f"the plugin knows {names}: {self('tables')}\n{self.log()}")
