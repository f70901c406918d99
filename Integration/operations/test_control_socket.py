"""The control socket: who may use it. Garbage, floods and slow readers on it do not affect forwarding."""
import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPCTL
from lab.namespaces import run
from lab.site import VNI


@pytest.fixture
def site(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    return site


def connect(daemon, seconds=20):
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(daemon.socket_path))
    client.settimeout(seconds)
    return client


def test_mode(site):
    status = os.stat(site.daemons[0].socket_path)
    assert stat.S_IMODE(status.st_mode) == 0o660 and stat.S_ISSOCK(status.st_mode) and status.st_uid == 0


def test_json_rpc_by_hand(site):
    client = connect(site.daemons[0])
    client.sendall(b'{"jsonrpc":"2.0","id":7,"method":"status","params":{}}\n')
    answer = json.loads(client.makefile().readline())
    assert answer["id"] == 7 and answer["result"]["state"] == "running"
    for line, code in ((b"nonsense\n", -32700), (b'{"jsonrpc":"2.0","id":1,"method":"no.such","params":{}}\n', -32601),
                       (b'[]\n', -32600), (b'{"jsonrpc":"2.0","id":1,"method":"mac.add","params":{"vni":"x"}}\n', -32602)):
        client.sendall(line)
        assert json.loads(client.makefile().readline())["error"]["code"] == code


def test_garbage_slow_and_many_clients_stall_nothing(site):
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    ping = vm1.namespace.popen("ping", "-n", "-q", "-i", "0.01", "-W", "5", vm2.ipv4, stdout=subprocess.PIPE, text=True)
    clients = []
    generator = random.Random(13)
    try:
        # Half a request, and then nothing; requests whose answers nobody reads; noise; an endless line.
        for number in range(20):
            clients.append(connect(daemon))
            clients[-1].sendall(b'{"jsonrpc":"2.0","id":1,"method":"sta')
        for number in range(10):
            client = connect(daemon)
            client.setblocking(False)
            clients.append(client)
            try:
                for _ in range(20_000):
                    client.send(b'{"jsonrpc":"2.0","id":1,"method":"show.drops","params":{"all":true}}\n')
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
        for number in range(50):
            client = connect(daemon)
            try:
                client.sendall(generator.randbytes(generator.randrange(1, 20_000)))
            except OSError:
                pass
            client.close()
        client = connect(daemon)
        try:
            for _ in range(200):
                client.sendall(b"a" * 65536)
        except OSError:
            pass
        client.close()
        for _ in range(20):
            assert daemon.ctl("status")["state"] == "running"
    finally:
        for client in clients:
            client.close()
    ping.send_signal(signal.SIGINT)
    summary = ping.communicate(timeout=30)[0]
    words = next(line for line in summary.splitlines() if "transmitted" in line).split()
    assert int(words[3]) >= int(words[0]) - 1, summary
    assert daemon.ctl("status")["state"] == "running"


def test_clients_leave_no_descriptors_behind(site):
    daemon = site.daemons[0]

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    daemon.ctl("status")
    before = descriptors()
    for _ in range(200):
        connect(daemon).close()
    wait_until(lambda: descriptors() <= before + 2, lambda: f"{descriptors()} descriptors, {before} before")


def test_a_flood_of_connections_costs_little(lab):
    """Clients that connect and leave faster than they are served wait in the kernel's queue, not in the daemon's memory."""
    daemon = Site(lab, vtepd=1).daemons[0]
    daemon.ctl("status")
    before = daemon.resident_bytes()
    highest, deadline = before, time.monotonic() + 60
    for number in range(10_000):
        connect(daemon, 60).close()
        if number % 100 == 0:
            highest = max(highest, daemon.resident_bytes())
            assert time.monotonic() < deadline or number > 2000, f"{number} connections in a minute"
    assert daemon.ctl("status")["state"] == "running"
    assert highest - before < 64 << 20, f"{before >> 20} MiB, and {highest >> 20} MiB under the flood"


def test_members_of_many_groups(lab):
    """More than the server expects at first: each is looked at."""
    daemon = Site(lab, vtepd=1).daemons[0]
    groups = ",".join(str(number) for number in range(70_000, 70_200))
    answer = run("setpriv", "--groups", groups, VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "status")
    assert json.loads(answer.stdout)["state"] == "running"


def test_exit_statuses(site):
    daemon = site.daemons[0]

    def status(*words):
        return run(VTEPCTL, "--socket", daemon.socket_path, *words, check=False).returncode

    assert status("status") == 0
    assert status("port", "delete", "nobody") == 1
    assert status("mac", "add", "--vni", VNI, "--mac", "nonsense", "--vtep", "192.0.2.2") in (1, 2)
    assert status("show", "nothing") == 2
    assert run(VTEPCTL, "--socket", "/nonexistent.sock", "status", check=False).returncode == 3


def test_commands_and_keys_of_the_interface(site):
    """The keys that scripts rely on."""
    site.guests[0].ping(site.guests[1].ipv4)
    daemon = site.daemons[0]
    keys = {
        ("status",): "state name mode version uptime_s workers ports vnis macs problems",
        ("show", "mac-table"): "vni mac type location port vlan vtep age_s moves",
        ("show", "vnis"): "vni source flood group peers ports macs",
        ("show", "vteps"): "address state reason vnis macs next_hops mtu rx_packets rx_bytes tx_packets tx_bytes",
        ("show", "ports"): "name kind state mac mtu vni vlans rx_packets rx_bytes tx_packets tx_bytes drops",
        ("show", "drops", "--all"): "reason where count description",
        ("show", "underlay"): "address present device driver mtu up ignored missed destinations",
        ("show", "workers"): "worker core queues packets cycles_per_packet busy_percent",
    }
    for command, expected in keys.items():
        answer = daemon.ctl(*command)
        first = answer if isinstance(answer, dict) else answer[0]
        assert set(expected.split()) <= set(first), command
        # Free text stands last; everything else fits a terminal.
        lines = daemon.table(*command).splitlines()
        end = re.search(r"  (NOTES|REASON|ERROR|DESCRIPTION)$", lines[0])
        assert max(len(line[:end.start() if end else None].rstrip()) for line in lines) <= 120, lines
        wide = daemon.table(*command, "--wide").splitlines()
        assert len(wide) == len(lines) and len(wide[0]) >= len(lines[0]), wide
    assert "FEATURES" not in daemon.table("show", "ports") and "FEATURES" in daemon.table("show", "ports", "--wide")


def test_idle_connections_lock_nobody_out(lab):
    """The 65th replaces the connection that has been idle longest."""
    daemon = Site(lab, vtepd=1).daemons[0]
    crowd = []
    for number in range(64):
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(daemon.socket_path))
        lab.on_close(idle.close)
        crowd.append(idle)
        if number == 0:  # Accepted before any other: the answer proves it.
            daemon.ctl("status")
    for _ in range(70):
        assert daemon.ctl("status")["state"] == "running"
    # The oldest are closed, and one slot belonged to a command that has ended.
    crowd[0].settimeout(30)
    assert crowd[0].recv(1) == b""
    crowd[-1].setblocking(False)
    with pytest.raises(BlockingIOError):
        crowd[-1].recv(1)
