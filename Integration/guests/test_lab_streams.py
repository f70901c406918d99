"""The lab's streams leave no process behind, however they end, and a virtual machine gets every command whole."""
import pytest

from lab import Lab, Site, VirtualMachine, exchange, tcp_stream
from lab.namespaces import run
from lab.site import VNI

pytestmark = pytest.mark.xdist_group("lab-streams")


@pytest.fixture(scope="module")
def site():
    with Lab() as lab:
        made = Site(lab, vtepd=1)
        daemon = made.daemons[0]
        daemon.ctl("port", "add", "--name", "machine", "--kind", "vhost-user", "--socket", "machine.sock", "--vni", VNI)
        made.machine = VirtualMachine(lab, "machine", 9, daemon.directory / "run/machine.sock").start().wait_booted()
        daemon.wait_ports_up()
        made.machine.wait_ping(made.guests[0].ipv4)
        yield made


def processes(guest):
    """All programs of the kinds that streams consist of."""
    if isinstance(guest, VirtualMachine):
        text = guest.shell("ps -o args")
    else:
        pids = run("ip", "netns", "pids", guest.namespace.full_name).stdout.split()
        text = run("ps", "-o", "args=", "-p", ",".join(["1", *pids])).stdout
    return [line for line in text.splitlines() if set(line.split()) & {"nc", "exchange", "/bin/exchange", "tee", "head"}]


def pairs(site):
    namespace = site.guests[0]
    return [(namespace, site.machine), (site.machine, namespace)]


def test_commands_arrive_whole_while_background_processes_end(site):
    """Half lines were lost, so that a command was another one."""
    text = "x" * 900
    for _ in range(5):
        site.machine.shell("i=0; while [ $i -lt 20 ]; do (usleep ${i}0000 </dev/null >/dev/null 2>&1 &); i=$((i+1)); done")
        assert site.machine.shell(f"echo {text}").strip() == text


def test_a_late_answer_is_not_the_next_commands(site):
    with pytest.raises(AssertionError, match="no answer in 1 s"):
        site.machine.shell("sleep 3; echo late", seconds=1)
    assert site.machine.shell("echo next").strip() == "next"


@pytest.mark.parametrize("way", (0, 1), ids=("to-machine", "from-machine"))
@pytest.mark.parametrize("stream", ("tcp_stream", "exchange"))
def test_a_stream_without_an_answer_leaves_no_process(site, stream, way):
    source, target = pairs(site)[way]
    for address in ("10.0.0.99", "10.9.9.9"):  # nobody answers ARP; no route
        with pytest.raises(AssertionError):
            if stream == "exchange":
                exchange(source, target, address, 1000, seconds=3)
            else:
                tcp_stream(source, target, address, 1, seconds=3)
        assert processes(source) == processes(target) == []
    exchange(source, target, target.ipv4, 1000)
    tcp_stream(source, target, target.ipv4, 1)
    assert processes(source) == processes(target) == []


@pytest.mark.parametrize("way", (0, 1), ids=("to-machine", "from-machine"))
@pytest.mark.parametrize("stream", ("tcp_stream", "exchange"))
def test_a_stream_that_is_cut_leaves_no_process(site, stream, way):
    """Both ends are connected, and neither is told that nothing more will come."""
    source, target = pairs(site)[way]
    guest = site.guests[0].namespace
    # A link that is set down later comes too late for streams this fast.
    guest.run("nft", "add table inet cut; "
              "add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in quota over 50 kbytes drop; "
              "add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out quota over 50 kbytes drop")
    with pytest.raises(AssertionError):
        if stream == "exchange":
            exchange(source, target, target.ipv4, 6 << 20, seconds=5)
        else:
            tcp_stream(source, target, target.ipv4, 6144, seconds=5)
    guest.run("nft", "delete table inet cut")
    assert processes(source) == processes(target) == []
    source.wait_ping(target.ipv4)
    exchange(source, target, target.ipv4, 1000)
