"""Workers: several, polling or sleeping, with and without hugepages."""
import os
import pathlib
import time

import pytest

from lab import Capture, Site
from lab.frames import udp_flow

HUGEPAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")


@pytest.mark.alone
@pytest.mark.parametrize("polling", ["adaptive", "busy"])
@pytest.mark.parametrize("workers", [1, 2])
def test_traffic_with_workers(lab, workers, polling):
    """Ports of a daemon with two workers have one transmit queue: workers share it."""
    site = Site(lab, vtepd=1, kernel=2, flood="replicate", dataplane={"workers": workers, "polling": polling})
    site.wait_all_pings()
    vm1, vm2, vm3 = site.guests
    captures = [Capture(guest.namespace, "eth0", "udp port 7", inbound=True) for guest in (vm2, vm3)]
    raw = vm1.namespace.raw_socket("eth0", receive=False)
    for number in range(500):
        for target in (vm2, vm3):
            raw.send(udp_flow(vm1.mac, target.mac, number))
    for capture in captures:
        assert len(capture.wait(500)) == 500
    rows = site.daemons[0].ctl("show", "workers")
    assert [row["worker"] for row in rows] == list(range(workers))
    assert sum(row["packets"] for row in rows) >= 1000
    assert sum(len(row["queues"]) for row in rows) >= 2
    assert site.daemons[0].drops().get("transmit-full", 0) == 0


def test_idle_adaptive_daemon_sleeps_and_wakes(lab):
    site = Site(lab, vtepd=2, flood="replicate", dataplane={"polling": "adaptive"})
    site.wait_all_pings()
    daemon = site.daemons[0]

    def share():
        """CPU time over elapsed time: a ratio within one run, independent of the machine."""
        cpu, clock = daemon.cpu_seconds(), time.monotonic()
        time.sleep(4)
        return (daemon.cpu_seconds() - cpu) / (time.monotonic() - clock)

    # In the first seconds, neighbours and memberships may still be settling.
    idle = min(share() for _ in range(3))
    assert idle < 0.05, f"idle daemon takes {idle:.1%} of a CPU"
    assert site.guests[0].ping(site.guests[1].ipv4, 5) == 5


def test_busy_daemon_never_sleeps(lab):
    site = Site(lab, vtepd=1, dataplane={"polling": "busy"})
    daemon = site.daemons[0]

    def switches():
        """Voluntary context switches of the busiest thread: a thread that never sleeps has hardly any."""
        threads = {}
        for thread in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir():
            fields = (thread / "stat").read_text().rsplit(")", 1)[1].split()
            voluntary = next(line for line in (thread / "status").read_text().splitlines() if line.startswith("voluntary"))
            threads[thread.name] = (int(fields[11]) + int(fields[12]), int(voluntary.split()[1]))
        return max(threads.values())

    before = switches()
    time.sleep(2)
    after = switches()
    assert after[0] > before[0], "the worker runs"
    assert after[1] - before[1] < 20, f"it slept {after[1] - before[1]} times"



@pytest.mark.parametrize("mode", ["off", "auto"])
def test_hugepages_are_optional(lab, mode):
    Site(lab, vtepd=1, kernel=1, flood="replicate", dataplane={"hugepages": mode}).wait_all_pings()


def test_hugepages_required(lab):
    before = int(HUGEPAGES.read_text())
    wanted = max(before, 256)
    HUGEPAGES.write_text(str(wanted))  # the pool belongs to the machine: it is only ever enlarged
    if int(HUGEPAGES.read_text()) < wanted:
        pytest.skip(f"the kernel gave {HUGEPAGES.read_text().strip()} of {wanted} hugepages")
    site = Site(lab, vtepd=2, flood="replicate", dataplane={"hugepages": "required"})
    site.wait_all_pings()
    for daemon in site.daemons:
        assert daemon.stop() == 0


def test_hugepages_required_but_absent(lab):
    site = Site(lab, vtepd=1, wait=False, dataplane={"hugepages": "required", "memory-mb": 65536})
    daemon = site.daemons[0].start(wait=False)
    assert daemon.process.wait(60) == 2
    assert "hugepages" in daemon.log()


def test_placement_is_shown(lab):
    """Where workers run is what the kernel says of their threads, and each receive queue is listed once, with a reason."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("one CPU")
    site = Site(lab, vtepd=1, flood="none", dataplane={"workers": 2, "cores": cpus[::-1]}, underlay={"driver": "af_packet"})  # its queues
    daemon = site.daemons[0]
    answer = daemon.ctl("show", "placement")
    assert [worker["cpus"] for worker in answer["workers"]] == [str(cpu) for cpu in cpus[::-1]]
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task").glob("*/status")
    pinned = [text.split("Cpus_allowed_list:\t")[1].split("\n")[0] for text in map(pathlib.Path.read_text, tasks)]
    assert {str(cpu) for cpu in cpus} <= set(pinned), pinned
    queues = [(queue["device"], queue["queue"]) for worker in answer["workers"] for queue in worker["queues"]]
    assert sorted(queues) == [("u0", 0), ("u0", 1), ("vm1", 0)]
    assert all(queue["reason"] == "fewest queues" for worker in answer["workers"] for queue in worker["queues"])
    assert all(worker["reason"].startswith("dataplane.cores") for worker in answer["workers"]) and not answer["warnings"]
    table = daemon.table("show", "placement")
    assert "u0/1" in table and "packet buffers: any socket" in table
