"""A run of the daemon leaves nothing in the file system, and a start removes what a killed one left behind."""
import os
import pathlib
import subprocess

from lab import Site, wait_until


def folder(daemon):
    return pathlib.Path("/var/run/dpdk", f"vtepd-{daemon.process.pid}")


def test_no_folder_is_left_in_dpdks_runtime_directory(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    assert daemon.stop() == 0
    assert not folder(daemon).exists()
    daemon.start()
    daemon.kill()
    assert not folder(daemon).exists()


def test_a_start_removes_leftovers_and_nothing_else(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    daemon.stop()
    parent = pathlib.Path("/var/run/dpdk")
    process = subprocess.Popen(["true"])
    process.wait()
    left, used, other = parent / f"vtepd-{process.pid}", parent / f"vtepd-{os.getpid()}", parent / f"testpmd-{os.getpid()}"
    try:
        for made in (left, used, other):
            made.mkdir(0o700)
        (used / "config").touch()
        daemon.start()
        assert not left.exists() and used.exists() and other.exists()
        assert not folder(daemon).exists()
    finally:
        (used / "config").unlink(missing_ok=True)
        for made in (left, used, other):
            if made.exists():
                made.rmdir()


def test_a_failed_start_leaves_nothing(lab):
    site = Site(lab, vtepd=1)
    first = site.daemons[0]
    first.stop()
    # DPDK starts, then the UDP port turns out to be in use.
    site.hosts[0].namespace.ip("link add vx0 type vxlan id 7 local 192.0.2.1 dstport 4789")
    site.hosts[0].namespace.ip("link set vx0 up")
    first.start(wait=False)
    wait_until(lambda: first.process.poll() is not None, "the start fails")
    assert first.process.returncode == 2 and "UDP port 4789 is in use" in first.log()
    assert not folder(first).exists()
