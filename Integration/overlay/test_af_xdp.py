"""A shared uplink through AF_XDP sockets (`underlay.driver: af_xdp`), on a veth: native XDP, without zero-copy."""
import json
import socket

import pytest
from scapy.layers.inet import IP, fragment
from scapy.layers.l2 import Ether

from lab import Capture, Guest, Site, tcp_stream, wait_until
from lab.daemon import BUILD, REPOSITORY
from lab.frames import BROADCAST, ethernet, tagged, vxlan4
from lab.namespaces import run
from lab.ovn import BFD_MILLISECONDS, BFDPeer
from lab.site import VNI

AF_XDP = 44
XDP = {"driver": "af_xdp"}


@pytest.fixture(autouse=True, scope="module")
def program():
    """`make build` compiles the XDP program, too; `swift build` does not."""
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as error:
        pytest.skip(f"this kernel has no AF_XDP: {error}")
    run(REPOSITORY / "scripts/xdp-program", BUILD)


def attached(namespace, device="u0"):
    """Name of the interface's XDP program; None: it has none."""
    row = json.loads(namespace.run("ip", "-d", "-j", "link", "show", device).stdout)[0]
    return row["xdp"]["prog"].get("name", "?") if "xdp" in row else None


def is_used(daemon):
    row = daemon.ctl("show", "underlay")[0]
    return row["driver"] == "af_xdp" and row["features"] == ["copy"]


def no_losses(daemon):
    drops = daemon.drops()
    assert not {"udp-checksum", "transmit-full", "refused-by-kernel", "offload-headers", "no-buffers", "frame-too-long"} & set(drops), drops


def evidence(site, frames):
    """For a failure that is rare: the frames, what the interface counts, and the log."""
    lines = [f"{len(frames)} frames:", *(Ether(frame).summary() for frame in frames[:10])]
    return "\n".join([*lines, site.hosts[0].namespace.run("ethtool", "-S", "u0", check=False).stdout, site.daemons[0].log()])


@pytest.mark.quick
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flood", ["multicast", "replicate"])
def test_kernel_peer(lab, ipv6, workers, flood):
    """With the kernel's defaults: the peer leaves checksums to hardware, and XDP does not say so."""
    site = Site(lab, vtepd=1, kernel=1, flood=flood, ipv6=ipv6, underlay=XDP, dataplane={"workers": workers})
    ours, theirs = site.guests
    daemon = site.daemons[0]
    assert is_used(daemon) and attached(site.hosts[0].namespace) == "vtepd_underlay"
    site.wait_all_pings()
    # What is redirected reaches no packet socket.
    capture = Capture(site.hosts[0].namespace, "u0", "udp port 4789", inbound=True)
    for source, target in ((ours, theirs), (theirs, ours)):
        for address in (target.ipv4, target.ipv6):
            tcp_stream(source, target, address, 1024)
    redirected = capture.packets()
    assert not redirected, evidence(site, redirected)
    no_losses(daemon)
    # The host's own traffic on the interface, and what the program leaves to the kernel: none of it is VXLAN.
    host, peer = site.hosts[0], site.kernels[0]
    for source, target in ((host, peer.ipv4), (host, peer.ipv6), (peer, host.ipv4), (peer, host.ipv6)):
        assert source.namespace.run("ping", "-n", "-q", "-c", 1, "-W", 5, target).returncode == 0
    row = daemon.ctl("show", "underlay")[0]
    assert row["missed"] == 0 and not row["ignored"] and "1 queue" in row["notes"][0], (row, evidence(site, capture.packets()))


def test_tcp_of_the_host(lab):
    """A session like ssh's between host and peer, on the same interface and meanwhile."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP)
    site.wait_all_pings()
    stations = [Guest(lab, f"station{host.number}", host.number, namespace=host.namespace) for host in site.hosts + site.kernels]
    for station, host in zip(stations, site.hosts + site.kernels):
        station.ipv4, station.ipv6 = host.ipv4, host.ipv6
    for source, target in (stations, stations[::-1]):
        for address in (target.ipv4, target.ipv6):
            tcp_stream(source, target, address, 1024)


def test_several_queues(lab):
    """One socket for each receive queue of the interface, shared out among workers."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP, dataplane={"workers": 2}, wait=False)
    namespace = site.hosts[0].namespace
    if namespace.run("ethtool", "-L", "u0", "rx", 2, "tx", 2, check=False).returncode != 0:
        pytest.skip("veth with a fixed number of queues")
    site.start()
    site.wait_all_pings()
    for source, target in (site.guests, site.guests[::-1]):
        tcp_stream(source, target, target.ipv4, 1024)
    daemon = site.daemons[0]
    assert "2 queues" in daemon.ctl("show", "underlay")[0]["notes"][0]
    queues = [[queue for queue in row["queues"] if queue.startswith("u0/")] for row in daemon.ctl("show", "workers")]
    assert all(queues), f"each worker has queues of the uplink: {queues}"
    no_losses(daemon)


def vxlan(site, inner, **fields):
    """A VXLAN packet from the kernel host to ours, ready for a raw socket there."""
    ours, theirs = site.hosts[0], site.kernels[0]
    return vxlan4(theirs.namespace.mac("u0"), ours.namespace.mac("u0"), theirs.ipv4, ours.ipv4, inner, VNI, **fields)


def test_what_the_program_leaves(lab):
    """A priority tag changes nothing. Fragments and IP options come by the packet sockets, frames to other hosts are counted there."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP)
    site.wait_all_pings()
    ours, theirs = site.guests
    raw = site.kernels[0].namespace.raw_socket("u0", receive=False)
    capture = Capture(ours.namespace, "eth0", "ether proto 0x88b5", inbound=True)

    def inner(text):
        return ethernet(theirs.mac, BROADCAST, text.ljust(46, b"\x00"))

    raw.send(vxlan(site, inner(b"plain")))
    raw.send(tagged(vxlan(site, inner(b"priority tag")), 0, priority=5))
    capture.wait(2)

    # In two fragments, which the kernel reassembles.
    packet = vxlan(site, ethernet(theirs.mac, BROADCAST, b"fragments".ljust(1200, b"\x00")))
    whole = Ether(packet)
    whole[IP].flags = 0
    whole[IP].id = 77
    del whole[IP].chksum
    pieces = [bytes(Ether(src=whole.src, dst=whole.dst) / piece) for piece in fragment(IP(bytes(whole[IP])), 600)]
    assert len(pieces) > 1
    for piece in pieces:
        raw.send(piece)
    capture.wait(3)
    optioned = Ether(packet)
    optioned[IP].options = [b"\x94\x04\x00\x00"]  # router alert
    del optioned[IP].ihl, optioned[IP].len, optioned[IP].chksum
    raw.send(bytes(optioned))
    capture.wait(4)
    # To another host: the interface sees it, e.g. because it is promiscuous.
    raw.send(b"\x02\x00\x00\x00\x99\x99" + vxlan(site, inner(b"not ours"))[6:])
    daemon = site.daemons[0]
    wait_until(lambda: daemon.drops().get("outer-mac-other-host"), lambda: f"counted: {daemon.drops()}")
    assert len(capture.packets()) == 4


def test_refused_packets_are_counted(lab):
    """The other end of the veth takes no packets of this size: each counts, and what is behind them goes."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP)
    site.wait_all_pings()
    ours, theirs = site.guests
    daemon = site.daemons[0]
    site.switch.namespace.ip("link set hv1 mtu 1400")
    raw = ours.namespace.raw_socket("eth0", receive=False)
    frame = ethernet(ours.mac, theirs.mac, b"large".ljust(1450, b"\x00"))
    for _ in range(300):
        raw.send(frame)
    wait_until(lambda: daemon.drops().get("refused-by-kernel", 0) == 300, lambda: f"each is counted: {daemon.drops()}\n{daemon.log()[-2000:]}")
    site.wait_all_pings()


def test_groups_follow_the_vnis(lab):
    """A group that is added later is received; another application's group on the same port is not ours."""
    site = Site(lab, vtepd=2, flood="multicast", underlay=XDP)
    site.wait_all_pings()
    for daemon in site.daemons:
        daemon.ctl("vni", "add", "--vni", 5002, "--flood", "multicast", "--group", "239.1.1.2")
        daemon.ctl("binding", "add", "--port", daemon.config["ports"][0]["name"], "--vlan", 9, "--vni", 5002)
    first = site.daemons[0]
    wait_until(lambda: site.switch.members("239.1.1.2") == {"hv1", "hv2"}, "the late group is joined")
    raw = site.hosts[1].namespace.raw_socket("u0", receive=False)
    redirected = Capture(site.hosts[0].namespace, "u0", "dst host 239.1.1.2 and udp", inbound=True)
    frame = ethernet("02:00:00:00:00:77", BROADCAST, b"late group".ljust(46, b"\x00"))

    def arrives():
        raw.send(vxlan4("02:00:00:00:00:99", "01:00:5e:01:01:02", "192.0.2.99", "239.1.1.2", frame, 5002))
        return "02:00:00:00:00:77" in first.macs()

    wait_until(arrives, lambda: f"the group's packets arrive: {first.ctl('show', 'mac-table')} {first.drops()}")
    assert not redirected.packets()
    # A group that is nobody's here: the program leaves it alone.
    left = Capture(site.hosts[0].namespace, "u0", "dst host 239.129.1.2 and udp", inbound=True)
    wire = site.switch.namespace.raw_socket("hv1", receive=False)
    wire.send(vxlan4("02:00:00:00:00:99", "01:00:5e:01:01:02", "192.0.2.99", "239.129.1.2", frame, 5002))
    left.wait(1)
    for daemon in site.daemons:
        no_losses(daemon)


def test_kill_and_restart(lab):
    """The program goes with the process, however that ends, and the next one finds the interface free."""
    site = Site(lab, vtepd=1, kernel=1, underlay=XDP)
    site.wait_all_pings()
    daemon, namespace = site.daemons[0], site.hosts[0].namespace
    for _ in range(3):
        assert attached(namespace) == "vtepd_underlay"
        daemon.kill()
        wait_until(lambda: attached(namespace) is None, "the program is off")
        daemon.start()
        daemon.wait_ports_up()
        assert is_used(daemon), daemon.log()
        site.wait_all_pings()
    assert daemon.stop() == 0
    assert attached(namespace) is None


def test_reload_changes_the_driver(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP)
    daemon, namespace = site.daemons[0], site.hosts[0].namespace
    for driver, name in (("af_packet", None), ("af_xdp", "vtepd_underlay")):
        daemon.config["underlay"]["driver"] = driver
        daemon.reload("configuration reloaded")
        wait_until(lambda: daemon.ctl("show", "underlay")[0]["driver"] == driver, lambda: f"{driver}: {daemon.ctl('show', 'underlay')}")
        wait_until(lambda: attached(namespace) == name, f"the program is {name}")
        site.wait_all_pings()
    daemon.config["underlay"]["udp-port"] = 4790
    daemon.reload("configuration reloaded")
    assert is_used(daemon)


@pytest.mark.parametrize("refusal", ["MTU", "driver", "other program"])
def test_fall_back(lab, refusal):
    """Packet sockets take over, and the log and `show underlay` say why."""
    mtu = 9000 if refusal == "MTU" else 1600
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP, underlay_mtu=mtu, wait=False)
    namespace, daemon = site.hosts[0].namespace, site.daemons[0]
    text = {"MTU": "MTU 9000 is too large", "driver": "runs no XDP programs", "other program": "ip link set dev u0 xdp off"}[refusal]
    if refusal == "driver":
        namespace.ip("link add br0 type bridge")
        namespace.ip("address flush dev u0")
        namespace.ip("link set u0 master br0")
        namespace.ip(f"link set br0 address {namespace.mac('u0')} mtu 1600 up")
        namespace.ip(f"address add {site.hosts[0].ipv4}/24 dev br0")
        daemon.config["underlay"]["device"] = "br0"
        daemon.write_config()
    elif refusal == "other program":
        namespace.ip(f"link set dev u0 xdpdrv obj {BUILD}/underlay.bpf.o sec xdp")
    site.start()
    site.wait_all_pings()
    row = daemon.ctl("show", "underlay")[0]
    assert row["driver"] == "af_packet" and text in row["notes"][0], row
    assert text in daemon.log() and "using packet sockets instead" in daemon.log()
    if refusal == "other program":
        # Not ours to take off.
        assert attached(namespace) == "vtepd_underlay"
        namespace.ip("link set dev u0 xdp off")
        daemon.stop()
        daemon.start()
        assert is_used(daemon)


def test_interface_comes_back(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP)
    site.wait_all_pings()
    daemon, host = site.daemons[0], site.hosts[0]
    host.namespace.ip("link delete u0")
    wait_until(lambda: not daemon.ctl("show", "underlay")[0]["up"], "it is gone")
    site.switch.connect(host.namespace, "u0", None, f"{host.ipv4}/24", f"{host.ipv6}/64")
    wait_until(lambda: is_used(daemon), lambda: f"it is back: {daemon.ctl('show', 'underlay')}\n{daemon.log()[-2000:]}")
    site.wait_all_pings()


def test_capabilities(lab):
    """Those of the packaged service are enough."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", underlay=XDP, wait=False)
    daemon = site.daemons[0]
    unit = (REPOSITORY / "packaging/debian/vtepd.service").read_text()
    wanted = next(line.split("=")[1].split() for line in unit.splitlines() if line.startswith("CapabilityBoundingSet="))
    rights = ",".join("+" + word.removeprefix("CAP_").lower() for word in wanted)
    assert "+bpf" in rights
    daemon.start(prefix=["setpriv", f"--bounding-set=-all,{rights}", f"--inh-caps=-all,{rights}"])
    daemon.wait_ports_up()
    assert is_used(daemon), daemon.log()
    site.wait_all_pings()


def test_bfd_has_a_way_of_its_own(lab):
    """The program leaves BFD to the kernel: on to a packet socket for it, in front of which no data waits; and with BFD off, to be counted."""
    site = Site(lab, vtepd=1, flood="replicate", underlay=XDP, wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    peer = BFDPeer(lab, site.switch, 3, VNI)
    daemon.config["vnis"][0]["peers"] = [peer.address]
    daemon.write_config()
    site.start()
    assert is_used(daemon)
    wait_until(lambda: (daemon.vtep(peer.address) or {}).get("bfd_ignored", 0) > 2, "BFD frames are counted while BFD is off")
    daemon.config["underlay"]["bfd"] = {"min-tx-ms": BFD_MILLISECONDS, "min-rx-ms": BFD_MILLISECONDS}
    daemon.reload("configuration reloaded")
    wait_until(lambda: peer.status().get("state") == "up" and daemon.ctl("show", "bfd")[0]["state"] == "up", lambda: f"{peer.status()}")
    passed = Capture(host, "u0", "udp port 4789", inbound=True)
    answers = Capture(host, "u0", f"icmp and src host {site.hosts[0].ipv4}")
    before = daemon.ctl("show", "bfd")[0]["rx_packets"]
    wait_until(lambda: daemon.ctl("show", "bfd")[0]["rx_packets"] > before + 10, "packets are counted")
    assert len(passed.packets()) >= 10 and not answers.packets(), "the kernel has them, and answers none"
    assert daemon.ctl("show", "bfd")[0]["flaps"] == 0
