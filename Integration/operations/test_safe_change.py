"""Changes of the configuration: undone unless confirmed, whole or not at all, with a history; saved with comments, exported and imported."""
import pathlib
import re
import signal
import time

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPCTL, Refused
from lab.namespaces import run
from lab.streams import EchoStream

EXTRA = {"vni": 5005, "flood": "none"}


def shown(daemon, *which):
    return daemon.table("config", "show", *which)


def change(daemon, **keys):
    """Writes a file with another VNI, and without one that the daemon has."""
    daemon.config["vnis"] = [vni for vni in daemon.config["vnis"] if vni["vni"] not in (EXTRA["vni"], 6000)] + [{"vni": 6000, "flood": "none", **keys}]
    daemon.write_config()


def start_stream(site):
    source, target = site.guests
    source.wait_ping(target.ipv4)
    return EchoStream(source, target.mac, target.ipv4, rate=200)


def stop_and_count(stream):
    """How many requests were sent, and how many of them were lost."""
    end = time.time_ns()
    stream.wait_answers(20)
    stream.stop()
    return sum(when < end for when in stream.sent), stream.lost(0, end)


def test_what_nobody_confirms_is_undone(lab):
    site = Site(lab, vtepd=2, flood="replicate", vnis=[EXTRA])
    daemon = site.daemons[0]
    # What vtepctl has changed is part of the state that comes back.
    daemon.ctl("vni", "add", "--vni", 77, "--flood", "none")
    before = shown(daemon)
    stream = start_stream(site)
    change(daemon)
    answer = daemon.ctl("config", "apply", daemon.config_path, "--confirm", 5)
    assert answer["confirm_s"] == 5 and answer["changes"] == ["vni 5005 deleted", "vni 6000 added"]
    assert shown(daemon) != before and daemon.ctl("config", "history")["confirm_s"] <= 5
    for words in (("apply", daemon.config_path), ("rollback", 1), ("save",)):
        with pytest.raises(Refused, match="waits for confirmation"):
            daemon.ctl("config", *words)
    wait_until(lambda: shown(daemon) == before, lambda: f"the state before is back:\n{shown(daemon)}\n{daemon.log()[-2000:]}", 60)
    sent, lost = stop_and_count(stream)
    assert sent > 100 and lost == 0, "the other VNI lost nothing"
    entries = daemon.ctl("config", "history")["entries"]
    assert [entry["action"].split(str(daemon.config_path))[-1] for entry in entries[:3]] == [" not confirmed within 5 s", "", "changes by vtepctl"]
    assert shown(daemon, "--history", 0) == before and shown(daemon, "--history", 1) != before
    with pytest.raises(Refused, match="no change waits"):
        daemon.ctl("config", "confirm")
    assert re.search(r"audit: vtepd: undo config apply .*: not confirmed within 5 s", daemon.log())

    # The file still has the change, which must not come back with the next start.
    daemon.stop()
    daemon.start()
    assert shown(daemon) == before and "still has what was undone" in daemon.log()
    daemon.ctl("config", "save")
    assert daemon.ctl("config", "diff", "--saved") == []
    warnings = daemon.log().count("still has what was undone")
    daemon.stop()
    daemon.start()
    assert shown(daemon) == before and daemon.log().count("still has what was undone") == warnings


def test_a_killed_daemon_comes_back_with_what_was_confirmed(lab):
    site = Site(lab, vtepd=1, flood="none", vnis=[EXTRA])
    daemon = site.daemons[0]
    daemon.ctl("vni", "add", "--vni", 77, "--flood", "none")
    before = shown(daemon)
    for ending in (daemon.kill, daemon.stop):
        change(daemon)
        daemon.ctl("config", "apply", daemon.config_path, "--confirm", 600)
        assert shown(daemon) != before
        ending()
        daemon.start()
        assert shown(daemon) == before, daemon.log()[-2000:]
        assert re.search("audit: vtepd: undo config apply .*: not confirmed when vtepd ended", daemon.log())
        # Again, since the file is as it was.
        daemon.kill()
        daemon.start()
        assert shown(daemon) == before
        with pytest.raises(Refused, match="no change waits"):
            daemon.ctl("config", "confirm")
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 600)
    daemon.ctl("config", "confirm")
    after = shown(daemon)
    assert after != before and daemon.ctl("config", "history")["confirm_s"] is None
    daemon.ctl("config", "save")
    daemon.kill()
    daemon.start()
    assert shown(daemon) == after
    # Another file is read as ever, whatever was undone before.
    daemon.ctl("config", "apply", daemon.config_path)
    change(daemon, learning=False)
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 600)
    daemon.ctl("config", "rollback")
    assert shown(daemon) == after
    change(daemon, **{"mac-limit": 9})
    daemon.stop()
    daemon.start()
    assert "mac-limit: 9" in shown(daemon)
    # A damaged record is set aside, and the file used.
    change(daemon, **{"mac-limit": 10})
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 600)
    daemon.kill()
    record = pathlib.Path(daemon.config["state-dir"]) / "configurations/unconfirmed"
    record.write_bytes(record.read_bytes()[:-10])
    daemon.start()
    assert "mac-limit: 10" in shown(daemon) and f"{record} cannot be used: it is cut off" in daemon.log()
    assert record.with_name("unconfirmed.damaged").exists()


def test_a_change_that_fails_changes_nothing(lab):
    site = Site(lab, vtepd=2, flood="replicate", kind="tap", vnis=[EXTRA])
    daemon, host, guest = site.daemons[0], site.hosts[0].namespace, site.guests[0]
    # One more tap, whose interface stays here.
    daemon.ctl("port", "add", "--name", "t9", "--kind", "tap", "--device", "tap9", "--vni", EXTRA["vni"])
    before, entries = shown(daemon), daemon.ctl("config", "history")["entries"]
    mtu = re.search(r"mtu \d+", host.ip("link show tap9")).group()
    stream = start_stream(site)
    missing = lab.directory / "no/s.sock"
    for confirm in ((), ("--confirm", 600)):
        change(daemon)
        daemon.config["ports"] = [daemon.config["ports"][0], {"name": "t9", "kind": "tap", "device": "tap9", "vni": 6000, "mtu": 1300},
                                  {"name": "a1", "kind": "tap", "device": "tapa1", "vni": 6000},
                                  {"name": "z9", "kind": "vhost-user", "socket": str(missing), "role": "server", "vni": 6000}]
        daemon.write_config()
        with pytest.raises(Refused, match="there is no folder"):
            daemon.ctl("config", "apply", daemon.config_path, *confirm)
        assert shown(daemon) == before
        assert re.search(r"mtu \d+", host.ip("link show tap9")).group() == mtu and "tapa1" not in host.ip("link")
        assert daemon.ctl("config", "history")["entries"][0]["action"] == "changes by vtepctl"
    assert {row["name"] for row in daemon.ctl("show", "ports")} == {"t9", guest.name}
    assert stop_and_count(stream)[1] == 0, "nothing was lost"
    assert len(entries) == 1 and re.search(r"audit: \S+ \(uid 0\), pid \d+, .*: config.apply .*: refused: port z9", daemon.log())
    # Nothing waits, and nothing is undone at the next start.
    missing.parent.mkdir()
    daemon.ctl("config", "apply", daemon.config_path)
    after = shown(daemon)
    daemon.kill()
    daemon.start()
    assert shown(daemon) == after


def test_history_rollback_save_and_export(lab):
    site = Site(lab, vtepd=1, flood="none")
    daemon = site.daemons[0]
    daemon.config["vnis"] += [{"vni": 7001, "flood": "replicate", "peers": ["192.0.2.9"]}, {"vni": 7002, "flood": "none"}]
    daemon.write_config()
    text = daemon.config_path.read_text()
    # As an operator would have it.
    text = "# Site A\n" + text.replace("- vni: 7001", "# tenant red\n- vni: 7001 # since May").replace("flood: replicate", "flood: replicate # no multicast")
    daemon.config_path.write_text(text)
    assert [row["key"] for row in daemon.ctl("config", "diff", daemon.config_path)][:2] == ["vnis[7001].vni", "vnis[7001].flood"]
    daemon.ctl("config", "apply", daemon.config_path)
    assert daemon.table("config", "diff", daemon.config_path) == ""
    host = site.hosts[0].namespace
    assert host.run(VTEPCTL, "config", "check", "--offline", daemon.config_path).stdout == ""
    daemon.config_path.write_text(text.replace("vni: 7002", "vnis: 7002"))
    assert "unknown key 'vnis'" in host.run(VTEPCTL, "config", "check", "--offline", daemon.config_path, check=False).stderr
    daemon.config_path.write_text(text)
    states = [shown(daemon)]
    # At run time: a changed key, an added one, an added port; a VNI goes.
    daemon.ctl("peer", "add", "--vni", 7001, "192.0.2.10")
    daemon.ctl("vni", "set", 7001, "--mac-limit", 50)
    daemon.ctl("port", "add", "--name", "t1", "--kind", "tap", "--device", "tap7", "--vni", 7001, "--isolated")
    daemon.ctl("vni", "delete", 7002)
    states.append(shown(daemon))
    assert "-vnis[7001].mac-limit: 50\n+vnis[7001].mac-limit: 0\n" in daemon.table("config", "diff", "--saved")
    assert daemon.ctl("config", "history")["changes_since"] == ["vni 7001 changed", "vni 7002 deleted", "port t1 added"]
    daemon.ctl("config", "rollback", 0)
    assert shown(daemon) == states[0]
    daemon.ctl("config", "rollback")
    assert shown(daemon) == states[1]
    with pytest.raises(Refused, match="no entry 999"):
        daemon.ctl("config", "rollback", 999)

    assert shown(daemon, "--saved") == text
    daemon.ctl("config", "save")
    saved = daemon.config_path.read_text()
    expected = text.replace("  peers:\n  - 192.0.2.9\n", "  peers: [192.0.2.9, 192.0.2.10]\n  mac-limit: 50\n").replace("- vni: 7002\n  flood: none\n", "")
    assert saved.startswith(expected), saved
    assert saved[len(expected):] == "- name: t1\n  kind: tap\n  device: tap7\n  vni: 7001\n  isolated: true\n", saved
    assert daemon.ctl("config", "save") == {"changed": False} and daemon.ctl("config", "diff", "--saved") == []
    daemon.config_path.write_text(saved + "# edited\n")
    with pytest.raises(Refused, match="changes that were not applied"):
        daemon.ctl("config", "save")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: re.search(r"audit: \S+ \(uid 0\), pid \d+, .*: SIGHUP: unchanged", daemon.log()), lambda: daemon.log()[-2000:])
    daemon.stop()
    daemon.start()
    assert shown(daemon) == states[1]

    # The sequence of docs/changes.md: a copy, everything gone, and back.
    daemon.ctl("vni", "add", "--vni", 8001, "--flood", "none")
    first, second = lab.directory / "first.export", lab.directory / "second.export"
    daemon.table("config", "export", first)
    daemon.stop()
    run("rm", "-r", daemon.config["state-dir"], daemon.config_path)
    daemon.config["vnis"], daemon.config["ports"] = [], []
    daemon.write_config()
    daemon.start()
    daemon.ctl("config", "import", first)
    daemon.table("config", "export", second)
    assert second.read_bytes() == first.read_bytes() and daemon.config_path.read_text() == saved + "# edited\n"
    assert daemon.table("config", "export") == first.read_text()
    second.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(Refused, match="not a complete file"):
        daemon.ctl("config", "import", second)
