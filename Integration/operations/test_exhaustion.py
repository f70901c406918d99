"""What runs out is told, with the remedy where there is one; vtepd goes on or does not start, and loses no configuration. Descriptors:
test_descriptors.py. Hugepages: test_workers.py. Packet buffers: unit tests."""
import os
import re

import pytest

from lab import Site
from lab.daemon import Refused
from lab.namespaces import run


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
