"""Configuration files that are still being written, and files with an editor's byte order mark."""
import signal

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPD
from lab.namespaces import run


@pytest.fixture
def daemon(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    for number in range(3):
        daemon.config["ports"].append({"name": f"t{number}", "kind": "tap", "device": f"t{number}", "vni": 5001})
    daemon.reload("configuration reloaded: port t0 added")
    return daemon


def ports(daemon):
    return sorted(row["name"] for row in daemon.ctl("show", "ports"))


@pytest.mark.parametrize("rest", ["two ports", "no port"])
def test_incomplete_file_removes_nothing(daemon, rest):
    """Cut off between two ports, or after `ports:`: nothing is removed while the file is being written."""
    whole = daemon.config_path.read_text()
    end = whole.index({"two ports": "- name: t1", "no port": "- name:"}[rest])
    before = daemon.log().count("applying it once")
    daemon.config_path.write_text(whole[:end])
    daemon.process.send_signal(signal.SIGHUP)
    expected = {"two ports": "2 of 4 ports will be removed (t1, t2)", "no port": "4 of 4 ports will be removed (t0, t1, t2, vm1)"}[rest]
    wait_until(lambda: daemon.log().count("applying it once") > before, lambda: f"the log reports the wait:\n{daemon.log()}")
    assert expected in daemon.log()
    assert len(ports(daemon)) == 4
    daemon.config_path.write_text(whole)
    wait_until(lambda: "configuration reloaded: nothing changed" in daemon.log(), lambda: f"the whole file is read:\n{daemon.log()}")
    assert len(ports(daemon)) == 4


def test_file_that_stays_unchanged_is_applied(daemon):
    del daemon.config["ports"][2:]
    daemon.reload("configuration reloaded: port t1 deleted, port t2 deleted")
    assert "2 of 4 ports will be removed (t1, t2); applying it once the file has been unchanged for 2 s" in daemon.log()
    assert ports(daemon) == ["t0", "vm1"]
    daemon.config["ports"] = None
    daemon.reload("configuration reloaded: port t0 deleted, port vm1 deleted")
    assert "2 of 2 ports will be removed (t0, vm1)" in daemon.log() and ports(daemon) == []


def test_stop_while_it_waits(daemon):
    daemon.config["ports"] = []
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "4 of 4 ports will be removed" in daemon.log(), "it waits")
    assert daemon.stop() == 0
    assert "not reloaded" not in daemon.log()


def test_byte_order_marks(daemon):
    text = daemon.config_path.read_text()
    daemon.config_path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded: nothing changed" in daemon.log(), lambda: f"it is read:\n{daemon.log()}")
    assert daemon.ctl("config", "check", daemon.config_path)["changes"] == []
    assert run(VTEPD, "--check", "--config", daemon.config_path).returncode == 0
    # Columns are counted as the editor shows them.
    daemon.config_path.write_bytes(b"\xef\xbb\xbf" + b"bogus: 1\n" + text.encode())
    assert ":1:1: " in run(VTEPD, "--check", "--config", daemon.config_path, check=False).stderr
    for encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1"):
        mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
        daemon.config_path.write_bytes(mark + ("# \u00fc\n" + text).encode(encoding))
        done = run(VTEPD, "--check", "--config", daemon.config_path, check=False)
        assert done.returncode == 1
        assert ("UTF-16 or UTF-32 text; save it as UTF-8" if "utf" in encoding else "is not UTF-8 text") in done.stderr
