"""A log that nobody reads: everything continues, and lost lines are counted and reported."""
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPD

F_SETPIPE_SZ = 1031


@pytest.fixture
def stuck(lab):
    """A daemon whose standard error is a full pipe, and the end that nobody reads."""
    site = Site(lab, vtepd=2, flood="replicate", wait=False)
    daemon = site.daemons[0]
    reader, writer = os.pipe()
    lab.on_close(lambda: os.close(reader))
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    daemon.process = daemon.namespace.popen(VTEPD, "--config", daemon.config_path, "--log-level", "trace", stdout=subprocess.DEVNULL,
                                            stderr=writer)
    os.close(writer)
    site.daemons[1].start()
    for one in site.daemons:
        one.wait_running()
        one.wait_ports_up()
    return site, daemon, reader


def fill(daemon, count, pause=0.0):
    """Thousands of lines for each rejected file. Signals that arrive while a file is being read count as one: `pause` in seconds."""
    daemon.config_path.write_text("".join(f"no-such-key-{number}: 1\n" for number in range(2000)))
    for _ in range(count):
        daemon.process.send_signal(signal.SIGHUP)
        daemon.ctl("status")
        time.sleep(pause)


def test_nothing_waits_for_a_reader(stuck):
    site, daemon, reader = stuck
    for guest, other in (site.guests, site.guests[::-1]):
        guest.wait_ping(other.ipv4)
    fill(daemon, 20)
    daemon.write_config()
    daemon.config["vnis"].append({"vni": 6000, "flood": "none"})
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.ctl("show", "vnis")) == 2, lambda: f"the file is applied: {daemon.ctl('show', 'vnis')}")
    assert site.guests[0].ping(site.guests[1].ipv4, 3) == 3
    assert daemon.stop() == 0


def test_lost_lines_are_counted(stuck):
    site, daemon, reader = stuck

    def told():
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                text.append(os.read(reader, 1 << 20).decode(errors="replace"))
        return re.search(r"(\d+) log lines were lost: nobody read standard error", "".join(text))

    text = []
    # More than the queue can hold.
    fill(daemon, 60, pause=0.2)
    found = wait_until(told, lambda: f"the log reports the lost lines: {''.join(text)[-2000:]}", 60, interval=0.0005)
    assert int(found.group(1)) > 0
    # The rest arrives, in order, and continues.
    assert "is running" in "".join(text)
    before = len("".join(text))
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: told() and "configuration reloaded" in "".join(text)[before:], "the log continues", interval=0.0005)
    assert daemon.stop() == 0


def test_reader_that_disconnects(stuck):
    """Neither SIGPIPE nor EPIPE ends anything."""
    site, daemon, reader = stuck
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, reader)
    os.close(null)
    fill(daemon, 5)
    assert daemon.ctl("status")["state"] == "running"
    assert daemon.stop() == 0
