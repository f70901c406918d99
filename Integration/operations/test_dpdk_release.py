"""vtepd inlines DPDK's headers: it runs with libraries of the release that it was built with, and rejects others.

A library that is loaded first stands in for the others: it claims another version."""
import pytest

from lab import Site, wait_until
from lab.namespaces import run


def installed():
    """Year, month and point release of the installed libraries."""
    return [int(number) for number in run("pkg-config", "--modversion", "libdpdk").stdout.strip().split(".")]


def text(version):
    return ".".join(map(str, version))


def start(lab, monkeypatch, version):
    """vtepd with libraries that claim this version."""
    source, library = lab.directory / "version.c", lab.directory / "version.so"
    source.write_text(f'const char *rte_version(void) {{ return "DPDK {text(version)}"; }}\n')
    run("clang", "-shared", "-fPIC", "-o", library, source)
    daemon = Site(lab, vtepd=1, wait=False).daemons[0]
    monkeypatch.setenv("LD_PRELOAD", str(library))
    daemon.start(wait=False)
    return daemon


@pytest.mark.parametrize("other", [(1, 0), (0, 1)], ids=["year", "month"])
def test_another_release_is_refused(lab, monkeypatch, other):
    year, month, point = installed()
    version = [year + other[0], month + other[1], point]
    daemon = start(lab, monkeypatch, version)
    assert daemon.process.wait(60) != 0
    assert f"vtepd was built with {text(installed())}, but {text(version)} is loaded" in daemon.log()
    assert "build vtepd again" in daemon.log()


def test_another_point_release_is_logged(lab, monkeypatch):
    year, month, point = installed()
    version = [year, month, point + 1]
    daemon = start(lab, monkeypatch, version)
    daemon.wait_running()
    wait_until(lambda: f"running with {text(version)}, which is compatible" in daemon.log(), daemon.log)
