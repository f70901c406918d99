"""The parts of the Debian package that can be tested without building it: manual pages, example, groups. scripts/package-test does
the rest."""
import json
import re
import subprocess

import pytest

from lab import Site
from lab.daemon import BUILD, REPOSITORY, VTEPCTL, VTEPD
from lab.namespaces import run


def commands(command):
    yield command
    for below in command.get("subcommands", []):
        yield from commands(below)


def plain(page):
    """The text of a manual page."""
    return re.sub(r"\\f.|\\&", "", page.read_text()).replace("\\-", "-")


def test_manual_pages_list_every_option_and_key(tmp_path):
    run(REPOSITORY / "packaging/man-pages", BUILD, tmp_path, "1.2.3")
    for program in (VTEPD, VTEPCTL):
        page = plain(tmp_path / f"{program.name}.8")
        described = json.loads(run(program, "--experimental-dump-help").stdout)["command"]
        for command in commands(described):
            for argument in command.get("arguments", []):
                for name in argument.get("names", []):
                    if argument["shouldDisplay"] and name["kind"] == "long":
                        assert "--" + name["name"] in page, (command["commandName"], name)
    page = plain(tmp_path / "vtepd.yaml.5")
    keys = run(VTEPD, "--list-configuration-keys").stdout.split()
    assert len(keys) > 90
    for key in keys:
        assert key.removeprefix("profiles.NAME.") in page, key
    assert "1.2.3" in page


def test_manual_page_fails_if_a_key_is_undocumented(tmp_path):
    for folder in ("docs", "packaging"):
        (tmp_path / folder).mkdir()
    text = (REPOSITORY / "docs/configuration.md").read_text()
    (tmp_path / "docs/configuration.md").write_text(text.replace("| `underlay.udp-port` |", "| `underlay.udp-prot` |"))
    (tmp_path / "packaging/man-pages").write_text((REPOSITORY / "packaging/man-pages").read_text())
    done = run("/usr/bin/python3", "-B", tmp_path / "packaging/man-pages", BUILD, tmp_path / "out", check=False)
    assert done.returncode != 0
    assert "has 'underlay.udp-prot', which vtepd does not know" in done.stderr
    assert "does not document 'underlay.udp-port'" in done.stderr


def test_example_reports_missing_keys_and_is_valid_uncommented(tmp_path):
    example = REPOSITORY / "packaging/vtepd.yaml"
    done = run(VTEPD, "--check", "--config", example, check=False)
    assert done.returncode == 1 and "key 'underlay' is missing" in done.stderr
    (tmp_path / "vtepd.yaml").write_text(re.sub(r"(?m)^#(?=\S|  \S)", "", example.read_text()))
    run(VTEPD, "--check", "--config", tmp_path / "vtepd.yaml")


@pytest.fixture
def grouped(lab):
    """A host that has the package's groups."""
    site = Site(lab, vtepd=1, flood="replicate")
    daemon = site.daemons[0]
    daemon.stop()
    groups = daemon.directory / "group"
    groups.write_text(open("/etc/group").read() + "vtepd:x:64801:\nvtepd-view:x:64802:\n")
    for folder in (lab.directory, daemon.directory):
        folder.chmod(0o755)
    with open(daemon.log_path, "a") as log:
        daemon.process = daemon.namespace.popen(
            "bash", "-c", 'mount --bind "$0" /etc/group && exec "$@"', groups, VTEPD, "--config", daemon.config_path, stdout=log, stderr=log)
    daemon.wait_running()
    return daemon


def test_groups(grouped):
    def ctl(group, *words):
        return subprocess.run(
            ["setpriv", "--reuid", "64803", "--regid", "64803", *(["--groups", group] if group else ["--clear-groups"]),
             str(VTEPCTL), "--socket", str(grouped.socket_path), *words], capture_output=True, text=True, timeout=60, check=False)

    change = ("vni", "add", "--vni", "77", "--flood", "none")
    for group, words, status in (("64801", change, 0), ("64801", ("status",), 0), ("64802", ("status",), 0), ("64802", ("show", "ports"), 0),
                                 ("64802", ("config", "show"), 0), ("64802", change, 1), (None, ("status",), 1), (None, change, 1), ("4", ("status",), 1)):
        done = ctl(group, *words)
        assert done.returncode == status, (group, words, done)
        assert ("permission denied: " in done.stderr) == (status == 1), done.stderr
    assert "vni.add is for members of group vtepd: sudo usermod -aG vtepd USER, and log in again" in ctl("64802", *change).stderr
    assert "usermod -aG vtepd-view USER" in ctl(None, "status").stderr
