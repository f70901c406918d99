"""The reconciler: while it waits it does not block others, and it turns many changes into one snapshot."""
import contextlib
import ctypes
import os
import pathlib
import threading
import time

import pytest

from lab import Site, wait_until
from lab.control import ControlSession
from lab.hosts import Guest
from lab.site import VNI

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def ptrace(request, thread):
    if LIBC.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


@contextlib.contextmanager
def one_processor():
    """Processes started inside run on one processor, so their concurrency pool has one thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def held(thread):
    """The thread is stopped; the process continues."""
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


def test_stalled_worker_delays_only_the_reconciler(lab):
    """With a concurrency pool of one thread: requests that need no change are answered while a change waits for a worker."""
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon = site.daemons[0]
    # The reconciler does not wait for a sleeping worker.
    daemon.config["dataplane"]["polling"] = "busy"
    daemon.write_config()
    with one_processor():
        site.start()
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task")
    worker = next(int(task.name) for task in tasks.iterdir() if "worker" in (task / "comm").read_text())
    change = threading.Thread(target=lambda: daemon.ctl("vni", "add", "--vni", 77, "--flood", "none", timeout=60))
    with held(worker):
        change.start()
        time.sleep(2)
        control = ControlSession(daemon)
        for _ in range(20):
            with pytest.raises(AssertionError, match="there is no command 'no.such.command'"):
                control("no.such.command")
            assert control("show.ports")[0]["name"] == "vm1"
        assert change.is_alive()
        assert not any(row["vni"] == 77 for row in daemon.ctl("show", "vnis"))
    change.join(60)
    assert any(row["vni"] == 77 for row in daemon.ctl("show", "vnis"))


def test_ports_that_change_together_make_one_snapshot(lab):
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, count = site.daemons[0], 20
    names = [f"t{number}" for number in range(count)]
    daemon.config["dataplane"]["memory-mb"] = 256
    daemon.config["ports"] += [{"name": name, "kind": "tap", "device": name, "vni": VNI} for name in names]
    daemon.write_config()
    daemon.start(False, "--log-level", "debug")
    daemon.wait_running()
    inside = Guest(lab, "inside", 9).namespace
    for name in names:
        site.hosts[0].namespace.ip(f"link set {name} netns {inside.full_name}")
        inside.ip(f"link set {name} group 77")

    def switch(state):
        before = daemon.log().count("snapshot ")
        inside.ip(f"link set group 77 {state}")  # all in one request
        wait_until(lambda: all(daemon.port(name)["state"] == state for name in names), f"all taps are {state}")
        return daemon.log().count("snapshot ") - before

    switch("up")
    # The kernel tells of one after the other: the reconciler may be faster than the kernel.
    assert 1 <= min(switch(state) for state in ["down", "up"] * 3) <= 5
