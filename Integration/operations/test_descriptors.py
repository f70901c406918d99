"""Limits on open files: reported as such, predicted at the start, and with enough left to recover."""
import os
import pathlib
import resource
import socket
import time

import pytest
import yaml

from lab import Site, wait_until
from lab.daemon import VTEPD, Refused
from lab.namespaces import run
from lab.site import VNI

RESERVE = 16


@pytest.fixture
def daemon(lab):
    return Site(lab, vtepd=1, flood="none").daemons[0]


def open_files(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def limit(daemon, free):
    """Leaves this many descriptors for ports and guests."""
    soft = open_files(daemon) + free
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, soft + RESERVE))


def clients(lab, daemon, count):
    """Idle connections to the control socket."""
    made = []
    for _ in range(count):
        made.append(socket.socket(socket.AF_UNIX))
        lab.on_close(made[-1].close)
        made[-1].connect(str(daemon.socket_path))
    return made


def busy_share(daemon):
    """CPU time over elapsed time: a ratio within one run."""
    cpu, clock = daemon.cpu_seconds(), time.monotonic()
    time.sleep(2)
    return (daemon.cpu_seconds() - cpu) / (time.monotonic() - clock)


def test_soft_limit_is_raised(lab, daemon):
    daemon.stop()
    with open(daemon.log_path, "a") as log:
        daemon.process = daemon.namespace.popen("prlimit", "--nofile=256:4096", VTEPD, "--config", daemon.config_path, stdout=log, stderr=log)
    daemon.wait_running()
    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (4096 - RESERVE, 4096)


def test_port_is_refused_with_the_reason_and_the_remedy_works(daemon):
    limit(daemon, 60)

    def add(number):
        daemon.ctl("port", "add", "--name", f"g{number}", "--kind", "vhost-user", "--socket", f"g{number}.sock", "--vni", VNI)

    with pytest.raises(Refused, match="too few of .* file descriptors are free for the 17 that it needs; delete other ports, or raise"):
        for number in range(60):
            add(number)
    count = sum(row["kind"] == "vhost-user" for row in daemon.ctl("show", "ports"))
    assert count >= 1, "some fit"
    # The remedy as printed.
    for number in range(count):
        daemon.ctl("port", "delete", f"g{number}")
    add(0)


def test_control_continues_without_descriptors(lab, daemon):
    daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tap9", "--vni", VNI)
    limit(daemon, 24)
    held = clients(lab, daemon, 28)
    wait_until(lambda: "out of file descriptors" in daemon.log(), lambda: f"the log reports it:\n{daemon.log()}")
    assert daemon.ctl("status")["state"] == "running"
    # Even the reserve does not suffice: nobody can connect, but nothing spins.
    held += clients(lab, daemon, 30)
    wait_until(lambda: open_files(daemon) >= resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[1] - 1, "all are open")
    assert min(busy_share(daemon) for _ in range(2)) < 0.2
    for client in held[4:]:
        client.close()
    assert daemon.ctl("port", "delete", "t") == {"changed": True}
    assert daemon.log().count("out of file descriptors") == 1
    for client in held[:4]:
        client.close()
    wait_until(lambda: "file descriptors are available again" in daemon.log(), lambda: f"the reserve is kept back:\n{daemon.log()}")


@pytest.mark.parametrize("options", [
    ("tap", "--device", "tap9"),
    ("netdev", "--device", "lo9"),
    ("vhost-user", "--socket", "p.sock"),
    ("vhost-user", "--socket", "p.sock", "--role", "server"),
    ("memif", "--socket", "p.sock"),
    ("memif", "--socket", "p.sock", "--role", "server"),
], ids=lambda options: "-".join(options[::2]))
def test_ports_give_their_descriptors_back(daemon, options):
    daemon.namespace.ip("link add lo9 type veth peer name lo8")

    def come_and_go():
        daemon.ctl("port", "add", "--name", "p", "--kind", *options, "--vni", VNI)
        daemon.ctl("port", "delete", "p")

    for _ in range(2):
        come_and_go()
    before = open_files(daemon)
    for _ in range(5):
        come_and_go()
    wait_until(lambda: open_files(daemon) <= before, lambda: f"{open_files(daemon)} descriptors are open, {before} were before five more times")


def test_memif_ports_share_a_socket_and_give_it_back(daemon):
    """The socket belongs to the last of them, whichever that is; afterwards it can be made again."""
    def add(number):
        daemon.ctl("port", "add", "--name", f"p{number}", "--kind", "memif", "--socket", "p.sock", "--role", "server", "--memif-id", number, "--vni", VNI)

    path = daemon.directory / "run/p.sock"
    before = None
    for order in ((1, 2), (2, 1), (1, 2)):
        for number in (1, 2):
            add(number)
        daemon.ctl("port", "delete", f"p{order[0]}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(str(path))
            client.settimeout(20)
            assert client.recv(256), "it is still served"
        daemon.ctl("port", "delete", f"p{order[1]}")
        assert not path.exists()
        before = before or open_files(daemon)
        wait_until(lambda: open_files(daemon) <= before, lambda: f"{open_files(daemon)} descriptors are open, {before} were")


def test_check_warns(tmp_path):
    config = {
        "underlay": {"addresses": ["192.0.2.1"], "device": "eth0"}, "vnis": [{"vni": VNI, "flood": "none"}],
        "ports": [{"name": f"g{number}", "kind": "vhost-user", "socket": f"g{number}.sock", "queues": 4, "vni": VNI} for number in range(20)],
    }
    path = pathlib.Path(tmp_path, "many.yaml")
    path.write_text(yaml.safe_dump(config))
    done = run("prlimit", "--nofile=512:512", VTEPD, "--config", path, "--check")
    assert "warning: up to 779 file descriptors are needed, but the hard limit is 512" in done.stderr
    assert run("prlimit", "--nofile=512:1024", VTEPD, "--config", path, "--check").stderr == ""
