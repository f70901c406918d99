"""Port kinds: how each is opened, tracked and rejected."""
import os
import socket
import struct
import time

import pytest

from lab import Site, VirtioGuest, owned, wait_until
from lab.daemon import Refused
from lab.frames import mac_bytes, tagged, udp_flow
from lab.namespaces import run
from lab.site import VNI

GUEST, OTHER = "02:00:00:00:aa:01", "02:00:00:00:aa:02"


@pytest.fixture
def site(lab):
    return Site(lab, vtepd=1, flood="replicate")


def add_vm(daemon, name="g1", *options):
    daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock", "--vni", VNI, *options)
    return daemon.directory / "run" / f"{name}.sock"


def wait_state(daemon, name, state):
    wait_until(lambda: daemon.port(name)["state"] == state, lambda: f"{name} is {state}: {daemon.port(name)}\n{daemon.log()}", 20)
    return daemon.port(name)


def exchange(first, second, first_mac, second_mac, number=1):
    """A frame each way."""
    sent = udp_flow(first_mac, second_mac, number)
    assert first.send(sent)
    assert second.wait_frame(lambda frame: frame == sent)
    back = udp_flow(second_mac, first_mac, number)
    assert second.send(back)
    assert first.wait_frame(lambda frame: frame == back)


def test_vhost_user_client_follows_the_guest(lab, site):
    daemon = site.daemons[0]
    paths = [add_vm(daemon, name) for name in ("g1", "g2")]
    assert daemon.port("g1")["state"] == "waiting" and daemon.port("g1")["features"] == []
    first, second = (VirtioGuest(lab, path, mtu=1400) for path in paths)
    first.boot()
    row = wait_state(daemon, "g1", "up")
    assert {"version-1", "mrg-rxbuf", "mtu"} <= set(row["features"])
    assert row["queues"] == 1 and row["guest_mtu"] == 1400 and row["kind"] == "vhost-user"
    second.boot()
    wait_state(daemon, "g2", "up")
    exchange(first, second, GUEST, OTHER)
    assert daemon.macs()[GUEST]["port"] == "g1"

    first.stop_driver()
    wait_state(daemon, "g1", "waiting")
    assert GUEST not in daemon.macs()
    first.disconnect()
    first.boot()
    wait_state(daemon, "g1", "up")
    exchange(first, second, GUEST, OTHER)

    first.disconnect()
    row = wait_state(daemon, "g1", "waiting")
    assert row["features"] == [] and row["guest_mtu"] is None
    first.boot()
    wait_state(daemon, "g1", "up")
    exchange(first, second, GUEST, OTHER)


def test_vhost_user_server(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon, "g1", "--role", "server")
    guest = VirtioGuest(lab, path, listens=False)
    for _ in range(3):
        guest.boot()
        wait_state(daemon, "g1", "up")
        guest.disconnect()
        wait_state(daemon, "g1", "waiting")
    daemon.ctl("port", "delete", "g1")
    assert not path.exists()


def test_stale_socket_is_removed_and_a_living_one_is_not(lab, site):
    daemon = site.daemons[0]
    path = daemon.directory / "run/g1.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        with pytest.raises(Refused, match="another process already listens there"):
            add_vm(daemon, "g1", "--role", "server")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert path.exists()
    add_vm(daemon, "g1", "--role", "server")
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "g1", "up")
    with pytest.raises(Refused, match="socket g1.sock already belongs to port g1"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", "g1.sock", "--vni", VNI)
    with pytest.raises(Refused, match="already"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", path, "--role", "server", "--vni", VNI)
    (daemon.directory / "run/file").write_text("")
    with pytest.raises(Refused, match="is not a socket"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", "file", "--vni", VNI)
    assert guest.send(udp_flow(GUEST, OTHER, 1))


def test_guest_with_fewer_queues_than_offered(lab, site):
    daemon = site.daemons[0]
    guests = [VirtioGuest(lab, add_vm(daemon, name, "--queues", 4), queues=4) for name in ("g1", "g2")]
    for guest in guests:
        guest.boot(use_queues=2)
    for name in ("g1", "g2"):
        wait_until(lambda: daemon.port(name)["queues"] == 2, lambda: f"two queues are used: {daemon.port(name)}")
    exchange(*guests, GUEST, OTHER)
    frame = udp_flow(GUEST, OTHER, 7)
    assert guests[0].send(frame, queue=1)
    assert guests[1].wait_frame(lambda got: got == frame)
    for number in range(4):
        guests[0].enable_ring(4 + number)
    wait_until(lambda: daemon.port("g1")["queues"] == 4, lambda: f"four queues are used: {daemon.port('g1')}")
    frame = udp_flow(GUEST, OTHER, 8)
    assert guests[0].send(frame, queue=3)
    assert guests[1].wait_frame(lambda got: got == frame)


@pytest.mark.parametrize("vlan", [None, 100])
def test_flows_to_a_guest_take_all_its_queues(lab, site, vlan):
    """With one worker: by flow, in order, on as many queues as the guest has enabled."""
    daemon = site.daemons[0]
    if vlan:
        socket_path = daemon.directory / "run/g1.sock"
        daemon.ctl("port", "add", "--name", "g1", "--kind", "vhost-user", "--socket", "g1.sock", "--queues", 4, "--vlan", f"{vlan}:{VNI}")
    else:
        socket_path = add_vm(daemon, "g1", "--queues", 4)
    receiver = VirtioGuest(lab, socket_path, queues=4)
    receiver.boot(use_queues=1)
    sender = VirtioGuest(lab, add_vm(daemon, "g2")).boot()
    wait_state(daemon, "g1", "up")
    wait_state(daemon, "g2", "up")
    reply = udp_flow(GUEST, OTHER, 0)
    assert receiver.send(tagged(reply, vlan) if vlan else reply)
    assert sender.wait_frame(lambda got: got == reply)

    def queues_of(flows, rounds):
        """{flow: queues on which its frames arrived}; each flow's frames must be in order on its queue."""
        for index in range(rounds):
            for flow in range(flows):
                frame = udp_flow(OTHER, GUEST, 1000 + flow, size=64) + struct.pack("!H", index)
                assert wait_until(lambda: sender.send(frame), "the sender's ring has room", interval=0.001)
        found, orders, count = {}, {}, 0

        def all_there():
            nonlocal count
            for queue, frame in receiver.frames_by_queue():
                frame = frame[:12] + frame[16:] if vlan and frame[12:14] == b"\x81\x00" else frame
                if frame[6:12] == mac_bytes(OTHER) and frame[12:14] == b"\x08\x00" and len(frame) == 66:
                    flow = struct.unpack("!H", frame[34:36])[0] - 1024 - 1000
                    found.setdefault(flow, set()).add(queue)
                    orders.setdefault((flow, queue), []).append(struct.unpack("!H", frame[64:])[0])
                    count += 1
            return count == flows * rounds

        wait_until(all_there, lambda: f"all frames arrive, not {count}", interval=0.005)
        assert all(order == sorted(order) for order in orders.values())
        return found

    for enabled in (1, 4, 2, 3):
        for number in range(8):
            receiver.enable_ring(number, number < 2 * enabled)
        wait_until(lambda: daemon.port("g1")["queues"] == enabled, lambda: f"{enabled} queues are used: {daemon.port('g1')}")
        found = queues_of(flows=40, rounds=3)
        assert all(len(queues) == 1 for queues in found.values()), found
        assert {queue for queues in found.values() for queue in queues} == set(range(enabled))
    # The port's counters match what was received.
    row = daemon.port("g1")
    assert row["drops"] == 0 and row["tx_packets"] >= 4 * 40 * 3


def test_guest_with_more_queues_than_the_port(lab, site):
    daemon = site.daemons[0]
    guests = [VirtioGuest(lab, add_vm(daemon, name), queues=3).boot() for name in ("g1", "g2")]
    wait_until(lambda: "raise queues" in "".join(daemon.port("g1")["notes"]), lambda: f"the port reports it: {daemon.port('g1')}")
    wait_state(daemon, "g2", "up")
    assert daemon.port("g1")["queues"] == 1
    exchange(*guests, GUEST, OTHER)


def test_idle_ports_cost_nothing_and_wake_at_once(lab, site):
    daemon = site.daemons[0]
    add_vm(daemon, "nobody")
    guests = [VirtioGuest(lab, add_vm(daemon, name)).boot() for name in ("g1", "g2")]
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    exchange(*guests, GUEST, OTHER)

    def share():
        """CPU time over elapsed time: a ratio within one run, independent of the machine."""
        cpu, clock = daemon.cpu_seconds(), time.monotonic()
        time.sleep(3)
        return (daemon.cpu_seconds() - cpu) / (time.monotonic() - clock)

    idle = min(share() for _ in range(2))
    assert idle < 0.05, f"idle daemon takes {idle:.1%} of a CPU"

    def misses():
        """Of 20 frames, those as late as if the worker, which sleeps for 250 ms, had missed the guest's kick."""
        late = 0
        for number in range(20):
            time.sleep(0.02)
            frame = udp_flow(GUEST, OTHER, number)
            start = time.monotonic()
            assert guests[0].send(frame)
            guests[1].wait_frame(lambda got: got == frame)
            late += time.monotonic() - start > 0.2
        return late

    wait_until(lambda: misses() < 10, "a sleeping worker notices the guest's kicks")


def test_disabled_port_takes_the_guests_link_down(lab, site):
    daemon, host, tap = site.daemons[0], site.hosts[0].namespace, lab.namespace("tapped")
    first = {"name": "g1", "kind": "vhost-user", "socket": "g1.sock", "vni": VNI}
    third = {"name": "t", "kind": "tap", "device": "tap9", "vni": VNI}
    daemon.config["ports"] += [first, {**first, "name": "g2", "socket": "g2.sock"}, third]
    daemon.reload("configuration reloaded")
    guests = [VirtioGuest(lab, daemon.directory / "run" / f"{name}.sock").boot() for name in ("g1", "g2")]
    host.ip(f"link set tap9 netns {tap.full_name}")
    tap.ip("link set tap9 up")
    for name in ("g1", "g2", "t"):
        wait_state(daemon, name, "up")
    assert "NO-CARRIER" not in tap.ip("link show tap9")

    first["enabled"] = third["enabled"] = False
    daemon.reload("configuration reloaded")
    for name in ("g1", "t"):
        assert daemon.port(name)["state"] == "down"
    # A hypervisor whose backend disconnects takes the link down.
    assert guests[0].connection.recv(1) == b""
    wait_until(lambda: "NO-CARRIER" in tap.ip("link show tap9"), "the tap has lost its carrier")

    first["enabled"] = third["enabled"] = True
    daemon.reload("configuration reloaded")
    guests[0].disconnect()
    guests[0].boot()
    for name in ("g1", "t"):
        wait_state(daemon, name, "up")
    assert "NO-CARRIER" not in tap.ip("link show tap9")
    exchange(*guests, GUEST, OTHER)


def test_daemon_restart_under_running_guests(lab, site):
    daemon = site.daemons[0]
    paths = [add_vm(daemon, name) for name in ("g1", "g2")]
    daemon.config["ports"] += [
        {"name": name, "kind": "vhost-user", "socket": f"{name}.sock", "vni": VNI} for name in ("g1", "g2")]
    daemon.write_config()
    guests = [VirtioGuest(lab, path).boot() for path in paths]
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    daemon.kill()
    daemon.start()
    # The hypervisor accepts the restarted daemon.
    for guest in guests:
        guest.disconnect()
        guest.boot()
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    exchange(*guests, GUEST, OTHER)
    shown = daemon.ctl("config", "show")
    text = shown["text"] if isinstance(shown, dict) else shown
    assert "kind: vhost-user\n" in text and "socket: g1.sock\n" in text and "role: client\n" in text


# -- other kinds ------------------------------------------------------------------------------------------------------

@pytest.fixture
def pair(lab):
    return Site(lab, vtepd=2, flood="replicate")


def exchange_behind(lab, pair, name):
    """Guests on both daemons' `name` ports, in a VNI of their own, so that nothing crosses the underlay."""
    guests = []
    for daemon in pair.daemons:
        daemon.ctl("port", "add", "--name", "g", "--kind", "vhost-user", "--socket", "g.sock", "--vni", 77)
        guests.append(VirtioGuest(lab, daemon.directory / "run/g.sock").boot())
    for daemon in pair.daemons:
        wait_state(daemon, "g", "up")
        wait_state(daemon, name, "up")
    exchange(*guests, GUEST, OTHER)
    for daemon in pair.daemons:
        row = daemon.port(name)
        assert row["rx_packets"] >= 1 and row["tx_packets"] >= 1


def add_vni(pair):
    for daemon in pair.daemons:
        daemon.ctl("vni", "add", "--vni", 77, "--flood", "none")


def test_memif_server_and_client(lab, pair):
    add_vni(pair)
    first, second = pair.daemons
    path = first.directory / "run/m.sock"
    first.ctl("port", "add", "--name", "m", "--kind", "memif", "--socket", "m.sock", "--role", "server", "--memif-id", 5, "--queues", 2, "--vni", 77)
    second.ctl("port", "add", "--name", "m", "--kind", "memif", "--socket", path, "--memif-id", 5, "--queues", 2, "--vni", 77)
    exchange_behind(lab, pair, "m")
    assert second.port("m")["queues"] == 2
    # The socket serves several interfaces, and is removed with the last.
    first.ctl("port", "add", "--name", "n", "--kind", "memif", "--socket", "m.sock", "--role", "server", "--memif-id", 6, "--vni", 77)
    with pytest.raises(Refused, match="belongs to port"):
        first.ctl("port", "add", "--name", "o", "--kind", "memif", "--socket", "m.sock", "--role", "server", "--memif-id", 6, "--vni", 77)
    second.ctl("port", "delete", "m")
    wait_state(first, "m", "waiting")
    second.ctl("port", "add", "--name", "m", "--kind", "memif", "--socket", path, "--memif-id", 5, "--queues", 2, "--vni", 77)
    wait_state(first, "m", "up")
    first.ctl("port", "delete", "m")
    assert path.exists()
    wait_state(second, "m", "waiting")
    first.ctl("port", "delete", "n")
    assert not path.exists()


def test_virtio_user_on_another_daemons_vhost_user(lab, pair):
    add_vni(pair)
    first, second = pair.daemons
    path = first.directory / "run/v.sock"
    second.ctl("port", "add", "--name", "v", "--kind", "virtio-user", "--socket", path, "--vni", 77)
    assert second.port("v")["state"] == "waiting"
    first.ctl("port", "add", "--name", "v", "--kind", "vhost-user", "--socket", "v.sock", "--role", "server", "--vni", 77)
    exchange_behind(lab, pair, "v")
    first.ctl("port", "delete", "v")
    wait_state(second, "v", "waiting")
    first.ctl("port", "add", "--name", "v", "--kind", "vhost-user", "--socket", "v.sock", "--role", "server", "--vni", 77)
    wait_state(second, "v", "up")


def test_virtio_user_without_the_kernels_side_is_refused(site):
    if os.path.exists("/dev/vhost-net"):
        pytest.skip("this kernel has vhost-net")
    with pytest.raises(Refused, match="load vhost_net, or use kind tap"):
        site.daemons[0].ctl("port", "add", "--name", "v", "--kind", "virtio-user", "--device", "vt0", "--vni", VNI)


def test_dpdk_device(lab, site):
    daemon, guest = site.daemons[0], lab.namespace("far")
    site.hosts[0].namespace.ip("link add p1 type veth peer name e0 netns " + guest.full_name)
    site.hosts[0].namespace.ip("link set p1 up")
    guest.ip("link set e0 up")
    daemon.ctl("port", "add", "--name", "d", "--kind", "dpdk", "--devargs", "net_pcap0,iface=p1", "--vni", VNI)
    wait_state(daemon, "d", "up")
    vm = VirtioGuest(lab, add_vm(daemon)).boot()
    wait_state(daemon, "g1", "up")
    raw = guest.raw_socket("e0")
    sent = udp_flow(OTHER, "ff:ff:ff:ff:ff:ff", 3)
    raw.send(sent)
    assert vm.wait_frame(lambda frame: frame == sent)
    back = udp_flow(GUEST, OTHER, 3)
    assert vm.send(back)
    wait_until(lambda: raw.recv(2048) == back, "the frame comes out of the device")
    with pytest.raises(Refused, match="already belongs to port d"):
        daemon.ctl("port", "add", "--name", "e", "--kind", "dpdk", "--devargs", "net_pcap0,iface=p1", "--vni", VNI)
    with pytest.raises(Refused, match="net_nothing0"):
        daemon.ctl("port", "add", "--name", "e", "--kind", "dpdk", "--devargs", "net_nothing0", "--vni", VNI)
    with pytest.raises(Refused, match="vfio-pci"):
        daemon.ctl("port", "add", "--name", "e", "--kind", "dpdk", "--devargs", "0000:7f:1f.7", "--vni", VNI)
    daemon.ctl("port", "delete", "d")
    daemon.ctl("port", "add", "--name", "d", "--kind", "dpdk", "--devargs", "net_pcap0,iface=p1", "--vni", VNI)


def test_tap_with_several_queues(lab):
    site = Site(lab, vtepd=2, flood="replicate", kind="tap", dataplane={"workers": 2}, wait=False)
    for daemon in site.daemons:
        daemon.config["ports"][0]["queues"] = 3
        daemon.write_config()
    site.start()
    site.wait_all_pings()
    assert site.daemons[0].port("vm1")["queues"] == 3
    # Flows use different queues; each queue has its worker, and none is forgotten.
    for number in range(40):
        assert site.guests[0].ping(site.guests[1].ipv4, 1) == 1
    with pytest.raises(Refused, match="64"):
        site.daemons[0].ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "t9", "--queues", 65, "--vni", VNI)


def test_full_table_gives_a_clear_error(lab, site):
    daemon = site.daemons[0]

    def add_memif(name):
        daemon.ctl("port", "add", "--name", name, "--kind", "memif", "--socket", f"{name}.sock", "--vni", VNI)

    room = 31 - owned.is_chosen()
    for number in range(room):
        add_memif(f"f{number}")
    with pytest.raises(Refused, match="at most 31 .*ports of the kinds memif, .* together, not 32"):
        add_memif(f"f{room}")
    daemon.ctl("port", "delete", "f0")
    add_memif("more")
    # Guests do not count.
    add_vm(daemon)
