"""Signals, reloads, and a killed daemon: a new start needs no manual step."""
import os
import signal
import subprocess

import pytest

from lab import Capture, Site, Vtepd, wait_until
from lab.daemon import VTEPCTL, VTEPD
from lab.frames import udp_flow
from lab.namespaces import run
from lab.site import VNI


def links(namespace):
    return {line.split(": ")[1].split("@")[0] for line in namespace.ip("-o link").splitlines()}


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_clean_stop(lab, with_signal):
    site = Site(lab, vtepd=1, kind="netdev")
    daemon, host = site.daemons[0], site.hosts[0]
    daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tap9", "--vni", VNI)
    site.wait_joined()
    assert "tap9" in links(host.namespace) and daemon.socket_path.exists()
    assert daemon.stop(with_signal) == 0
    assert "tap9" not in links(host.namespace)
    assert not daemon.socket_path.exists()
    wait_until(lambda: site.switch.members(site.group) == set(), "the group is left")
    assert run(VTEPCTL, "--socket", daemon.socket_path, "status", check=False).returncode == 3


def test_second_signal_while_stopping_harms_nothing(lab):
    daemon = Site(lab, vtepd=1).daemons[0]
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.process.wait(30) in (0, -signal.SIGTERM)


def test_kill_and_start_again(lab):
    site = Site(lab, vtepd=2, kernel=1, kind="tap")
    site.wait_joined()
    site.wait_all_pings()
    for _ in range(3):
        daemon, guest = site.daemons[0], site.guests[0]
        daemon.kill()
        assert daemon.socket_path.exists(), "kill -9 must leave the socket behind for this test"
        daemon.start()
        # The guest's tap disappeared with the daemon; like a hypervisor, the test takes the new one.
        if guest.device not in links(guest.namespace):
            guest.attach_tap(site.hosts[0].namespace, "tap1")
        daemon.wait_ports_up()
        site.wait_joined()
        site.wait_all_pings()


def test_kill_with_netdev_ports(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    for _ in range(3):
        site.daemons[0].kill()
        site.daemons[0].start()
        site.daemons[0].wait_ports_up()
        site.wait_all_pings()


def test_stale_persistent_tap_is_taken_over(lab):
    site = Site(lab, vtepd=1, kind="tap", wait=False)
    site.hosts[0].namespace.ip("tuntap add dev tap1 mode tap multi_queue")
    daemon = site.daemons[0].start()
    site.guests[0].attach_tap(site.hosts[0].namespace, "tap1")
    daemon.wait_ports_up()


def test_second_daemon_on_the_same_socket_is_refused(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    second = run("ip", "netns", "exec", daemon.namespace.full_name, VTEPD, "--config", daemon.config_path, check=False)
    assert second.returncode == 2 and str(daemon.socket_path) in second.stderr
    assert daemon.ctl("status")["state"] == "running"


def test_missing_underlay_device_is_reported(lab):
    namespace = lab.namespace("hv1")
    daemon = Vtepd(namespace, {"underlay": {"addresses": ["192.0.2.1"], "device": "u0"}}).start(wait=False)
    assert daemon.process.wait(60) == 2
    assert "u0" in daemon.log()


def test_run_dir_is_created(lab):
    site = Site(lab, vtepd=1, wait=False)
    daemon = site.daemons[0]
    deep = daemon.directory / "a/b/c"
    daemon.config["run-dir"] = str(deep)
    daemon.socket_path = deep / "vtepd.sock"
    daemon.write_config()
    site.start()
    assert daemon.ctl("status")["name"] == "hv1"


def test_version_and_systemd_notification(lab):
    assert run(VTEPD, "--version").stdout.strip()
    site = Site(lab, vtepd=1, wait=False)
    daemon = site.daemons[0]
    import socket
    path = daemon.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(path)
        try:
            daemon.start(wait=False)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert b"READY=1" in listener.recv(4096)
    daemon.wait_running()


@pytest.mark.quick
def test_reload_applies_only_the_difference(lab):
    """While VNIs and ports come and go, another VNI loses no traffic."""
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    ping = vm1.namespace.popen("ping", "-n", "-q", "-i", "0.01", "-W", "5", vm2.ipv4, stdout=subprocess.PIPE, text=True)
    for number in range(5):
        daemon.config["vnis"].append({"vni": 6000 + number, "flood": "multicast", "group": "239.3.3.3"})
        daemon.config["ports"].append({"name": f"extra{number}", "kind": "tap", "device": f"extra{number}", "vni": 6000 + number})
        daemon.reload("configuration reloaded")
    assert {f"extra{number}" for number in range(5)} <= {row["name"] for row in daemon.ctl("show", "ports")}
    assert len(daemon.ctl("show", "vnis")) == 6
    del daemon.config["vnis"][1:], daemon.config["ports"][1:]
    daemon.reload("configuration reloaded")
    assert [row["name"] for row in daemon.ctl("show", "ports")] == ["vm1"]
    ping.send_signal(signal.SIGINT)
    summary = ping.communicate(timeout=30)[0]
    words = next(line for line in summary.splitlines() if "transmitted" in line).split()
    assert int(words[3]) >= int(words[0]) - 1, summary  # the last one may be in flight

    # Changes that need a restart are reported, and nothing breaks.
    daemon.config["dataplane"]["workers"] = 2
    daemon.reload("configuration reloaded")
    wait_until(lambda: "takes effect when vtepd is restarted" in daemon.log(), "the log reports it")
    assert vm1.ping(vm2.ipv4, 3) == 3


def test_commands_change_the_running_daemon(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    daemon = site.daemons[0]
    daemon.ctl("vni", "add", "--vni", 7000, "--flood", "replicate", "--peer", "192.0.2.2")
    daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tap9", "--vlan", "5:7000")
    rows = {row["vni"]: row for row in daemon.ctl("show", "vnis")}
    assert rows[7000]["peers"] == ["192.0.2.2"] and daemon.port("t")["vlans"] == {"5": 7000}
    shown = daemon.ctl("config", "show")
    text = shown["text"] if isinstance(shown, dict) else shown
    path = daemon.directory / "shown.yaml"
    path.write_text(text)
    run(VTEPD, "--config", path, "--check")
    daemon.ctl("port", "delete", "t")
    daemon.ctl("vni", "delete", 7000)
    assert [row["vni"] for row in daemon.ctl("show", "vnis")] == [VNI]


def test_netdev_that_comes_later_and_goes(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    daemon, host, guest = site.daemons[0], site.hosts[0].namespace, site.guests[0]
    host.ip("link delete port1")
    wait_until(lambda: daemon.port("vm1")["state"] == "waiting", lambda: f"the port waits: {daemon.port('vm1')}")
    guest.attach_veth(host, "port1")
    daemon.wait_ports_up("vm1")
    site.wait_all_pings()


def test_new_port_takes_nothing_from_other_interfaces(lab):
    """An unbound packet socket receives frames from every interface: none of them may enter a VNI."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    daemon, host = site.daemons[0], site.hosts[0].namespace
    host.ip("link add quiet type veth peer name peer")
    for device in ("quiet", "peer"):
        host.ip(f"link set {device} up")
    # Only frames from the host's stack at the other end may come in.
    peer = host.mac("peer")
    said = Capture(host, "peer", f"ether src {peer}")
    # In the meantime the host sends on its underlay interface.
    site.switch.namespace.popen("ping", "-f", "-q", "192.0.2.1", stdout=subprocess.DEVNULL)
    for _ in range(20):
        before = len(said.packets())
        daemon.ctl("port", "add", "--name", "quiet", "--kind", "netdev", "--device", "quiet", "--vni", VNI)
        daemon.wait_ports_up("quiet")
        assert daemon.port("quiet")["rx_packets"] <= len(said.packets()) - before
        assert {row["mac"] for row in daemon.ctl("show", "mac-table", "--port", "quiet")} <= {peer}
        daemon.ctl("port", "delete", "quiet")


def test_no_icmp_port_unreachable(lab):
    """The kernel has the address and sees the datagrams too; it must not answer."""
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    capture = Capture(site.switch.namespace, "br0", "icmp[icmptype] == icmp-unreach")
    inbound = Capture(site.hosts[1].namespace, "u0", "icmp", inbound=True)
    raw = site.guests[1].namespace.raw_socket("eth0", receive=False)
    for number in range(50):
        raw.send(udp_flow(site.guests[1].mac, site.guests[0].mac, number))
    wait_until(lambda: site.daemons[0].vtep("192.0.2.2")["rx_packets"] >= 50, "the packets have come")
    assert capture.stop().packets() == [] and inbound.stop().packets() == []
