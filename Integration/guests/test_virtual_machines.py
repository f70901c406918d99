"""vhost-user ports: real virtual machines, and DPDK's virtio driver as a stand-in, communicate over VXLAN and survive restarts."""
import functools
import itertools

import pytest

from lab import Capture, Lab, StandIn, VirtualMachine, tcp_stream, wait_until
from lab.frames import mac_bytes
from lab.owned import needs_room
from lab.vm_site import VMSite


@pytest.fixture(scope="class")
def site(request):
    with Lab() as lab:
        yield VMSite(lab, request.cls.make)


def wait_state(machine, state):
    wait_until(lambda: machine.daemon.port(machine.name)["state"] == state,
               lambda: f"{machine.name} is {state}: {machine.daemon.port(machine.name)}\n{machine.daemon.log()[-3000:]}")


def wait_all_pings(site):
    for one, other in itertools.combinations(site.guests, 2):
        one.wait_ping(other.ipv4)
        one.wait_ping(other.ipv6)


class Guests:
    """Tests for any kind of guest. One site serves all tests of a kind."""

    @pytest.mark.quick
    def test_everybody_reaches_everybody(self, site):
        """Over VXLAN between hosts, to the kernel's VXLAN device, and locally; IPv4 and IPv6."""
        wait_all_pings(site)
        for machine in site.machines:
            row = machine.daemon.port(machine.name)
            assert row["kind"] == "vhost-user" and row["rx_packets"] > 0 and row["tx_packets"] > 0
            assert machine.daemon.macs()[machine.mac]["port"] == machine.name
        assert site.daemons[0].macs()[site.machines[2].mac]["vtep"] == site.hosts[1].ipv4

    def test_full_size_packets(self, site):
        """The guests' MTU of 1500 octets, for which the underlay's 1600 have room."""
        needs_room()
        vm1, vm2, vm3, _ = site.guests
        for one, other in ((vm1, vm3), (vm3, vm2), (vm1, vm2)):
            wait_until(lambda: one.ping(other.ipv4, size=1472), f"{one.name} reaches {other.name} at full size")

    def test_tcp_streams(self, site):
        vm1, vm2, vm3, vm4 = site.guests
        tcp_stream(vm1, vm3, vm3.ipv4)
        tcp_stream(vm3, vm1, vm1.ipv6)
        tcp_stream(vm1, vm4, vm4.ipv4)
        tcp_stream(vm4, vm2, vm2.ipv6)

    def test_guests_of_one_daemon_talk_locally(self, site):
        """Frames between them never leave on the underlay."""
        vm1, vm2 = site.machines[:2]
        vm1.wait_ping(vm2.ipv4)
        vm1.wait_ping(vm2.ipv6)
        wait_until(lambda: set(site.daemons[0].macs()) >= {vm1.mac, vm2.mac}, "both addresses are learned")
        capture = Capture(site.hosts[0].namespace, "u0", "udp port 4789")
        assert vm1.ping(vm2.ipv4, 5, 5) == 5 and vm2.ping(vm1.ipv6, 5, 5) == 5
        tcp_stream(vm1, vm2, vm2.ipv4)
        tcp_stream(vm2, vm1, vm1.ipv6)
        ours = {mac_bytes(machine.mac) for machine in (vm1, vm2)}
        assert [packet.hex() for packet in capture.stop().packets() if {packet[50:56], packet[56:62]} == ours] == []

    def test_daemon_is_killed_and_started_under_its_guests(self, site):
        """The guests do nothing to reconnect. Connecting stand-ins would have to: virtio-user tries only once."""
        wait_all_pings(site)
        for daemon in site.daemons:
            daemon.kill()
        for daemon in site.daemons:
            daemon.start()
        for machine in site.machines:
            if isinstance(machine, StandIn) and machine.role == "server":
                machine.kill()
                machine.start().wait_booted()
            wait_state(machine, "up")
        wait_all_pings(site)

    def test_guest_ends_and_starts(self, site):
        machines = site.machines[:2]
        processes = [daemon.process.pid for daemon in site.daemons]
        for machine in machines:
            machine.kill()
        for machine in machines:
            wait_state(machine, "waiting")
            machine.start()
        for machine in machines:
            machine.wait_booted()
            wait_state(machine, "up")
        wait_all_pings(site)
        assert [daemon.process.pid for daemon in site.daemons] == processes


@pytest.mark.xdist_group("TestStandIns")
class TestStandIns(Guests):
    make = StandIn


@pytest.mark.xdist_group("TestVirtualMachines")
class TestVirtualMachines(Guests):
    make = functools.partial(VirtualMachine, host_mtu=1500)

    def test_port_follows_the_driver(self, site):
        """The guest's driver releases the device and takes it again; then vtepd shows the negotiated features."""
        vm1, _, vm3, _ = site.guests
        vm1.shell("echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind")
        wait_state(vm1, "waiting")
        vm1.shell("echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind")
        vm1.configure()
        wait_state(vm1, "up")
        vm1.wait_ping(vm3.ipv4)
        one, two = vm1.daemon.port("vm1"), vm3.daemon.port("vm3")
        assert (one["queues"], one["guest_mtu"], "mq" in one["features"]) == (1, 1500, False)
        assert (two["queues"], two["guest_mtu"], "mq" in two["features"]) == (2, 1500, True)

    def test_disabled_port_takes_the_link_down(self, site):
        vm1, _, vm3, _ = site.guests
        port = next(port for port in vm1.daemon.config["ports"] if port["name"] == "vm1")
        for enabled, state in ((False, "down"), (True, "up")):
            port["enabled"] = enabled
            vm1.daemon.reload("configuration reloaded")
            wait_state(vm1, state)
            wait_until(lambda: vm1.carrier() == enabled, f"the guest sees that its link is {state}")
        vm1.wait_ping(vm3.ipv4)
