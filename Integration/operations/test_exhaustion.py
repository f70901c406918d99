"""What runs out is told, with the remedy where there is one; vtepd goes on or does not start, and loses no configuration. Descriptors:
test_descriptors.py. Packet buffers: unit tests."""
import mmap
import os
import pathlib
import re

import pytest

from lab import Site, wait_until
from lab.daemon import Refused
from lab.frames import udp_flow
from lab.namespaces import run
from lab.site import VNI
from lab.stand_in import StandIn

HUGEPAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
PAGE = 2 << 20
MAP_HUGETLB = 0x40000


def free_hugepages():
    return int((HUGEPAGES / "free_hugepages").read_text()) - int((HUGEPAGES / "resv_hugepages").read_text())


def want_hugepages(count):
    """Enlarges the machine's pool if it must be."""
    missing = count - free_hugepages()
    if missing > 0:
        pool = HUGEPAGES / "nr_hugepages"
        pool.write_text(str(int(pool.read_text()) + missing))
    if free_hugepages() < count:
        pytest.skip(f"{free_hugepages()} of {count} hugepages are free, and the kernel gives no more")


@pytest.mark.alone
def test_hugepages_run_out_while_running(lab):
    """Others take all hugepages. A port for a guest is opened nevertheless, and works with buffers of all; a trace is refused. When there are
    pages again, both get what they need by themselves. Nothing of the configuration is lost."""
    want_hugepages(64)
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", dataplane={"hugepages": "required", "memory-mb": 32, "workers": 2}, wait=False)
    site.start()
    site.wait_all_pings()
    daemon, (vm1, vm2) = site.daemons[0], site.guests

    def lacks_buffers():
        return any("no memory for packet buffers of guests' own" in note for note in daemon.port("g")["notes"])

    taken = mmap.mmap(-1, free_hugepages() * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    try:
        taken[::PAGE] = bytes(len(taken) // PAGE)
        socket = daemon.directory / "run/g.sock"
        daemon.ctl("port", "add", "--name", "g", "--kind", "vhost-user", "--socket", "g.sock", "--vni", VNI)
        daemon.ctl("config", "save")
        guest = StandIn(lab, "g", 9, socket).start().wait_booted()
        wait_until(lacks_buffers, lambda: f"the port says what it lacks: {daemon.port('g')}")
        for pinged in (vm1, vm2):
            assert guest.ping(pinged.ipv4, 3) == 3
        frame = udp_flow(vm1.mac, vm2.mac, 1).hex()
        with pytest.raises(Refused, match="packet buffers: .*Cannot allocate memory; raise dataplane.memory-mb"):
            daemon.ctl("trace", "--port", "vm1", frame)
    finally:
        taken.close()
    wait_until(lambda: not lacks_buffers(), lambda: f"there is memory again: {daemon.port('g')}")
    assert daemon.log().count("there is memory again for packet buffers of guests' own") == 1
    assert daemon.ctl("trace", "--port", "vm1", frame)["outcome"] == "sent"
    for pinged in (vm1, vm2):
        assert guest.ping(pinged.ipv4, 3) == 3
    assert {row["name"] for row in daemon.ctl("show", "ports")} == {"vm1", "g"}


@pytest.mark.alone
def test_two_daemons_do_not_count_the_same_hugepages(lab):
    """There are enough for one. With `auto`, the other one uses ordinary pages, also when both start at the same moment."""
    want_hugepages(128)
    megabytes = free_hugepages() * 2 * 6 // 10
    site = Site(lab, vtepd=2, flood="none", dataplane={"hugepages": "auto", "memory-mb": megabytes}, wait=False)
    for _ in range(3):
        for daemon in site.daemons:
            daemon.log_path.write_text("")
            daemon.start(wait=False)
        for daemon in site.daemons:
            daemon.wait_running()
        ordinary = ["using ordinary pages" in daemon.log() for daemon in site.daemons]
        assert sorted(ordinary) == [False, True], [daemon.log() for daemon in site.daemons]
        for daemon in site.daemons:
            assert daemon.stop() == 0


def test_disk_full(lab):
    """What can be done without the disk is done. What would need it is refused; afterwards nothing has changed."""
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon = site.daemons[0]
    state = daemon.directory / "state"
    state.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", state)
    lab.on_close(lambda: run("umount", state, check=False))
    daemon.start()
    filler = os.open(state / "filler", os.O_CREAT | os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(filler, bytes(512))
    os.close(filler)

    def vnis():
        return {row["vni"] for row in daemon.ctl("show", "vnis")}

    daemon.config["vnis"].append({"vni": 7000, "flood": "none"})
    daemon.write_config()
    assert daemon.ctl("config", "apply", daemon.config_path)["changes"] == ["vni 7000 added"]
    assert "the history has no entry" in daemon.log() and "No space left on device" in daemon.log()
    before = vnis()
    daemon.config["vnis"].append({"vni": 7001, "flood": "none"})
    daemon.write_config()
    with pytest.raises(Refused, match="could not be undone: .*unconfirmed: cannot be written: write: No space left on device"):
        daemon.ctl("config", "apply", daemon.config_path, "--confirm", 30)
    assert vnis() == before
    assert daemon.ctl("config", "history")["confirm_s"] is None

    (state / "filler").unlink()
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 30)
    daemon.ctl("config", "confirm")
    entries = daemon.ctl("config", "history")["entries"]
    assert entries[0]["changes"] == ["vni 7001 added"] and entries[1]["changes"] == ["vni 7000 added"], entries
    daemon.kill()
    daemon.start()
    assert vnis() == before | {7001}


def test_no_memory_at_start(lab):
    """What is missing depends on who comes first."""
    daemon = Site(lab, vtepd=1, flood="none", wait=False, dataplane={"mac-table-size": 16_777_216}).daemons[0]
    daemon.start(False, prefix=("prlimit", f"--as={1500 << 20}"))
    assert daemon.process.wait(60) == 2
    assert re.search(r"(MAC table of 16777216 entries: create MAC table of \d+ MiB: the kernel gives no memory for it; lower dataplane.mac-table-size"
                     r"|counters of a worker: Cannot allocate memory; lower dataplane.workers)", daemon.log()), daemon.log()
