"""Signals at any time: only the right ones end the daemon, and none is lost."""
import os
import pathlib
import signal
import time

import pytest

from lab import Site, wait_until

IGNORED = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGPIPE]


def links(namespace):
    return {line.split(": ")[1].split("@")[0] for line in namespace.ip("-o link").splitlines()}


def blocked(process):
    """The signals that the process blocks."""
    try:
        lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:")), 0)


def wait_first_instructions(daemon):
    """The loader is done. No program can handle signals before that."""
    wait_until(lambda: blocked(daemon.process) >> (signal.SIGHUP - 1) & 1, "signals are held back", interval=0.0005)


@pytest.mark.parametrize("number", IGNORED, ids=lambda number: number.name)
def test_ignored(lab, number):
    site = Site(lab, vtepd=1, kind="tap", wait=False)
    daemon = site.daemons[0].start(wait=False)
    wait_first_instructions(daemon)
    for _ in range(20):
        daemon.process.send_signal(number)
        time.sleep(0.01)
    daemon.wait_running()
    daemon.process.send_signal(number)
    assert daemon.ctl("status")["state"] == "running"
    assert daemon.stop() == 0


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_reload_during_the_start_is_applied_afterwards(lab, delay):
    site = Site(lab, vtepd=1, wait=False)
    daemon = site.daemons[0].start(wait=False)
    wait_first_instructions(daemon)
    time.sleep(delay)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_running()
    wait_until(lambda: "configuration reloaded" in daemon.log(), lambda: f"the signal takes effect:\n{daemon.log()}")
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_stop_during_the_start(lab, number, delay):
    site = Site(lab, vtepd=1, kind="tap", wait=False)
    daemon, host = site.daemons[0].start(wait=False), site.hosts[0].namespace
    wait_first_instructions(daemon)
    time.sleep(delay)
    assert daemon.stop(number) == 0
    assert "tap1" not in links(host) and not daemon.socket_path.exists()
    # Nothing prevents the next start.
    daemon.start()
    assert daemon.stop(number) == 0


def test_child_processes_get_default_signals(lab):
    """The database server does not inherit blocked and ignored signals."""
    site = Site(lab, vtepd=1, wait=False)
    daemon = site.daemons[0]
    daemon.config["ovsdb"] = {}
    daemon.write_config()
    daemon.start()
    children = wait_until(
        lambda: [int(pid) for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
                 for pid in (task / "children").read_text().split()
                 if os.readlink(f"/proc/{pid}/exe").endswith("ovsdb-server")], lambda: f"the server runs:\n{daemon.log()}")
    status = pathlib.Path(f"/proc/{children[0]}/status").read_text()
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Sig") and "SigQ" not in line}
    assert masks["SigBlk"] == 0 and not masks["SigIgn"] >> (signal.SIGUSR1 - 1) & 1
    assert daemon.stop() == 0
