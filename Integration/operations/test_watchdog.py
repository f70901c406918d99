"""A worker that stops turning is noticed: log with a backtrace, status, event, metric; and what happens when it goes on."""
import ctypes
import os
import pathlib
import signal
import urllib.request

import pytest

from lab import wait_until
from lab.events import Events
from lab.site import Site

TGKILL = 234


def worker_threads(daemon):
    """Threads of DPDK, by the kernel's numbers."""
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task")
    return [int(task.name) for task in sorted(tasks.iterdir()) if "worker" in (task / "comm").read_text()]


def signalled(daemon, thread, number):
    assert ctypes.CDLL(None, use_errno=True).syscall(TGKILL, daemon.process.pid, thread, number) == 0, os.strerror(ctypes.get_errno())


def metric(daemon, name):
    with daemon.namespace.entered():
        text = urllib.request.urlopen("http://127.0.0.1:9478/metrics", timeout=20).read().decode()
    return [line.split()[-1] for line in text.splitlines() if line.startswith(name + "{")]


@pytest.mark.parametrize("polling", ["adaptive", "busy"])
def test_a_stuck_worker(lab, polling):
    site = Site(lab, vtepd=1, dataplane={"polling": polling}, wait=False)
    daemon = site.daemons[0]
    daemon.environment["VTEPD_TEST_STUCK"] = "1"
    daemon.config["metrics"] = {"listen": "127.0.0.1:9478"}
    daemon.write_config()
    daemon.namespace.ip("link set lo up")
    site.start()
    events = Events(daemon)
    wait_until(lambda: metric(daemon, "vtepd_worker_stuck") == ["0"], "the worker turns")
    # Idle, asleep or busy polling, it is not stuck.
    assert daemon.ctl("status")["problems"] == [] and "has not finished its round" not in daemon.log()
    (thread,) = worker_threads(daemon)
    signalled(daemon, thread, signal.SIGRTMIN + 5)
    event = events.wait("worker-stuck")
    assert event["level"] == "error" and "worker 0 has not finished its round for a second" in event["text"]
    assert any("worker 0 has been stuck" in problem for problem in daemon.ctl("status")["problems"])
    assert metric(daemon, "vtepd_worker_stuck") == ["1"]
    assert "it is at: " in daemon.log() and "vtepd(" in event["text"]
    events.wait("worker-turning")
    wait_until(lambda: daemon.ctl("status")["problems"] == [] and metric(daemon, "vtepd_worker_stuck") == ["0"], "it goes on")
    assert daemon.stop() == 0
