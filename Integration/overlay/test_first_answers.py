"""The first answer to a station goes to that station, however soon it comes, and not to all VTEPs."""
import pytest

from lab import Capture, Chatter, Site
from lab.frames import ethernet, mac_bytes, mac_number

PAIRS = 10_000


def flooded(daemon):
    return daemon.ctl("show", "vnis")[0]["flooded"]


def receive_from(raw, source):
    while (frame := raw.recv(2048))[6:12] != source:
        pass
    return frame


@pytest.mark.parametrize("workers", [1, 2])
def test_no_first_answer_is_flooded(lab, workers):
    """vm2, behind a kernel VTEP, sends requests from a new address each time; vm1 answers at once; vm3, behind another VTEP,
    receives nothing."""
    site = Site(lab, vtepd=1, kernel=2, flood="replicate", dataplane={"workers": workers})
    site.wait_all_pings()
    vm1, vm2, vm3 = site.guests
    asker, answerer = vm2.namespace.raw_socket("eth0"), vm1.namespace.raw_socket("eth0")
    for raw in (asker, answerer):
        raw.settimeout(30)
    strays = Capture(vm3.namespace, "eth0", "ether proto 0x88b5")
    daemon = site.daemons[0]
    chatter = Chatter(*site.guests)
    before = chatter.undisturbed(lambda: flooded(daemon))
    own = mac_bytes(vm1.mac)
    for number in range(PAIRS):
        source = mac_number(0x100000 + number)
        asker.send(ethernet(source, vm1.mac, b"question".ljust(46)))
        receive_from(answerer, mac_bytes(source))
        answerer.send(ethernet(vm1.mac, source, b"answer".ljust(46)))
        receive_from(asker, own)
    # The guests may still renew ARP with each other; what their stacks send on their own is multicast.
    assert flooded(daemon) - before < 10 + chatter.count()
    # Marks the end of the capture: a frame that reaches vm3.
    asker.send(ethernet(mac_number(7), vm3.mac, b"end".ljust(46)))
    frames = strays.wait(1)
    assert [bytes(frame)[14:17] for frame in frames] == [b"end"]
