"""TCP with the kernel's defaults between ports of all kinds and the kernel's VXLAN device: both directions, byte-exact, untagged and
tagged, over IPv4 and IPv6, inside and outside; through one worker (hv1) and two (hv2). See lab/mixed_site.py."""
import pytest

from lab import Lab, MixedSite, VirtualMachine, exchange
from lab.mixed_site import NETWORKS, addresses

PAIRS = [
    # Through a tunnel.
    ("tap1", "tap2"), ("tap1", "veth2"), ("veth1", "tap2"), ("veth1", "veth2"),
    ("tap1", "plain3"), ("veth1", "plain3"), ("tap2", "plain3"), ("veth2", "plain3"),
    # Of one vtepd.
    ("tap1", "tap3"), ("veth1", "veth3"), ("tap1", "veth1"), ("tap2", "tap4"), ("veth2", "veth4"), ("tap2", "veth2"),
    # With virtual machines: through a tunnel, of one vtepd.
    ("tap1", "vm2"), ("veth1", "vm2"), ("vm1", "tap2"), ("vm1", "veth2"), ("vm1", "vm2"), ("vm1", "plain3"), ("vm2", "plain3"),
    ("vm1", "tap1"), ("vm1", "veth1"), ("vm2", "tap2"), ("vm2", "veth2"), ("vm2", "vm4"),
]


@pytest.fixture(scope="module", params=[pytest.param(mtu, id=f"mtu{mtu}", marks=pytest.mark.xdist_group(f"mixed{mtu}")) for mtu in (1500, 9000)])
def site(request):
    with Lab() as lab:
        yield MixedSite(lab, request.param)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("one, other", PAIRS)
def test_tcp(site, one, other, network):
    first, second = site.guests[one], site.guests[other]
    size, seconds = 4 << 20, 20
    if network == "stacked":
        size >>= 2  # kernels cut segments with two tags themselves
    if any(isinstance(guest, VirtualMachine) for guest in (first, second)):
        site.start_machines()
        # An emulated machine takes longer. Of what it sends with two tags, DPDK's vhost library loses the segment size: the whole is
        # refused, and sent again in single packets.
        size, seconds = 1 << (16 if network == "stacked" else 20), 90
    for family in (4, 6):
        before = site.drops()
        try:
            exchange(first, second, addresses(second.number, network)[family == 6], size, seconds)
        except AssertionError as error:
            raise AssertionError(f"IPv{family}: {error}; drops before {before}, after {site.drops()}") from None
