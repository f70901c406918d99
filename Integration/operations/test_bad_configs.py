"""Wrong configurations are rejected with line and reason, and a running daemon keeps its configuration."""
import signal

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPCTL, VTEPD, Refused
from lab.namespaces import run

SOUND = """\
name: hv1
dataplane:
  workers: 1
underlay:
  addresses: [192.0.2.1]
  device: eth0
vnis:
  - vni: 5001
    flood: multicast
    group: 239.1.1.1
  - vni: 5002
    flood: replicate
    peers: [192.0.2.2]
ports:
  - name: vm1
    kind: tap
    device: tap-vm1
    vni: 5001
"""

# The text to replace, its replacement, the line of the problem, and a word of the reason.
CASES = [
    ("name: hv1", "nmae: hv1", 1, "nmae"),
    ("workers: 1", "workers: 0", 3, "workers"),
    ("workers: 1", "workers: two", 3, "workers"),
    ("workers: 1", "polling: sometimes", 3, "polling"),
    ("  workers: 1", "\tworkers: 1", 3, "tab"),
    ("addresses: [192.0.2.1]", "addresses: []", 5, "address"),
    ("addresses: [192.0.2.1]", "addresses: [239.1.1.1]", 5, "multicast"),
    ("addresses: [192.0.2.1]", "addresses: [192.0.2.300]", 5, "192.0.2.300"),
    ("device: eth0\nvnis", "device: much-too-long-a-name\nvnis", 6, "much-too-long-a-name"),
    ("device: eth0\nvnis", "device: eth0\n  ttl: 256\nvnis", 7, "ttl"),
    ("device: eth0\nvnis", "device: eth0\n  device: eth1\nvnis", 7, "device"),
    ("vni: 5001\n    flood", "vni: 16777216\n    flood", 8, "16777215"),
    ("flood: multicast", "flood: broadcast", 9, "flood"),
    ("group: 239.1.1.1", "group: 192.0.2.9", 10, "multicast"),
    ("    group: 239.1.1.1\n", "", 9, "group"),
    ("vni: 5002", "vni: 5001", 11, "5001"),
    ("peers: [192.0.2.2]", "peers: [192.0.2.1]", 13, "192.0.2.1"),
    ("peers: [192.0.2.2]", "peers: 192.0.2.2", 13, "list"),
    ("kind: tap", "kind: tape", 16, "tape"),
    ("vni: 5001\n", "vni: 5009\n", 18, "5009"),
    ("    vni: 5001\n", "    vni: 5001\n    vlans: {4095: 5002}\n", 19, "4095"),
    ("    vni: 5001\n", "    vni: 5001\n  - name: vm1\n    kind: tap\n    device: tap2\n", 19, "vm1"),
    ("    kind: tap\n", "", 15, "kind"),
    ("underlay:\n  addresses: [192.0.2.1]\n  device: eth0\n", "", 1, "underlay"),
]


def changed(old, new):
    """The valid file with the last occurrence replaced: bindings come after what they refer to."""
    assert old in SOUND, old
    position = SOUND.rindex(old) if old.strip().startswith("vni: 5001") and "flood" not in old else SOUND.index(old)
    return SOUND[:position] + new + SOUND[position + len(old):]


def test_there_are_twenty_and_the_original_is_valid(tmp_path):
    assert len(CASES) >= 20
    path = tmp_path / "sound.yaml"
    path.write_text(SOUND)
    done = run(VTEPD, "--config", path, "--check")
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("old, new, line, word", CASES, ids=[f"{new.strip()[:40]!r}" for _, new, _, _ in CASES])
def test_refused_with_line_and_reason(tmp_path, old, new, line, word):
    path = tmp_path / "wrong.yaml"
    path.write_text(changed(old, new))
    done = run(VTEPD, "--config", path, "--check", check=False)
    assert done.returncode == 1
    problems = done.stderr.splitlines()
    assert any(problem.startswith(f"{path}:{line}:") and word in problem for problem in problems), done.stderr


def test_all_problems_at_once(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(SOUND.replace("workers: 1", "workers: 0").replace("kind: tap", "kind: tape").replace("multicast", "broadcast"))
    problems = run(VTEPD, "--config", path, "--check", check=False).stderr.splitlines()
    assert [problem.split(":")[1] for problem in problems if problem.startswith(str(path))] == ["3", "9", "16"]


def test_missing_and_unreadable_files(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        done = run(VTEPD, "--config", path, "--check", check=False)
        assert done.returncode == 1 and str(path) in done.stderr


def test_running_daemon_refuses_and_runs_on(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    daemon = site.daemons[0]
    before = daemon.ctl("config", "show")
    sound = daemon.config_path.read_text()
    for old, new in (("flood: replicate", "flood: sometimes"), ("kind: netdev", "kind: tape"), ("underlay:", "underlies:"), (sound, "{")):
        wrong = sound.replace(old, new)
        assert wrong != sound
        daemon.config_path.write_text(wrong)
        refused = daemon.log().count("not reloaded")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("not reloaded") > refused, lambda: f"the log reports it: {daemon.log()[-2000:]}")
        assert f"{daemon.config_path}:" in daemon.log().rsplit("not reloaded", 1)[1]
        for command in ("check", "apply"):
            with pytest.raises(Refused) as refusal:
                daemon.ctl("config", command, daemon.config_path)
            assert refusal.value.status == 1 and f"{daemon.config_path}:" in refusal.value.message
        assert daemon.ctl("config", "show") == before
        assert site.guests[0].ping(site.guests[1].ipv4, 3) == 3
    assert run(VTEPCTL, "--socket", daemon.socket_path, "nonsense", check=False).returncode == 2
