"""UDP datagrams of one flow and size leave a tunnel joined, and the receiving kernel hands each to the program as it was sent."""
import os
import socket

import pytest

from lab import Lab, Site

pytestmark = pytest.mark.xdist_group("datagram-coalescing")

UDP_SEGMENT, UDP_GRO, IP_MTU_DISCOVER, PMTUDISC_DONT = 103, 104, 10, 0


@pytest.fixture(scope="module", params=["netdev", "tap"])
def site(request):
    with Lab() as lab:
        site = Site(lab, flood="replicate", kind=request.param)
        site.wait_all_pings()
        yield site


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "apart"])
@pytest.mark.parametrize("fragmentable", [False, True], ids=["DF", "no DF"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_datagrams(site, family, fragmentable, joined):
    """`joined`: the program asks its kernel for what has come joined; otherwise it gets every datagram by itself."""
    first, second = site.guests
    own = second.ipv4 if family == socket.AF_INET else second.ipv6
    with second.namespace.entered():
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with first.namespace.entered():
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((own, 0))
        receiver.settimeout(10)
        receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(joined))
        sender.connect(receiver.getsockname()[:2])
        if fragmentable and family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
        largest = 0
        for _ in range(20):
            sent = os.urandom(2_050)
            sender.send(sent)
            got = b""
            while len(got) < len(sent):
                data, control, _, _ = receiver.recvmsg(65_535, 64)
                got += data
                largest = max(largest, len(data))
                # A joined one says how it was cut; one by itself has the size that was asked for.
                size = [int.from_bytes(value[:4], "little") for _, kind, value in control if kind == UDP_GRO]
                assert len(data) <= 100 or size == [100]
            assert got == sent
        assert (largest > 100) is joined
