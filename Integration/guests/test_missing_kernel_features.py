"""What vtepd uses of the kernel if it is there, and does without otherwise: each feature alone taken for missing, and all of them. TCP
between kinds of ports is as with them, only slower, and the reports tell what is used."""
import re

import pytest

from lab import Lab, MixedSite, exchange
from lab.daemon import REPOSITORY
from lab.mixed_site import NETWORKS, addresses

FEATURES = sorted({name for path in (REPOSITORY / "Sources").rglob("*.swift") for name in re.findall(r'isHidden\("([\w-]+)"\)', path.read_text())})
PAIRS = [("tap1", "veth2"), ("veth1", "tap2"), ("tap1", "plain3"), ("veth1", "plain3"), ("tap1", "tap3"), ("veth1", "veth3"), ("tap1", "veth1")]


def reports(site):
    """What the daemons say about the means of their ports and underlay devices."""
    return [{row.get("name") or row["device"]: [row.get(key) for key in ("driver", "features", "offloads")] for row in daemon.ctl("show", what)}
            for daemon in site.daemons for what in ("ports", "underlay")]


@pytest.fixture(scope="module")
def usual():
    with Lab() as lab:
        return reports(MixedSite(lab, machines=False))


@pytest.mark.parametrize("missing", [*FEATURES, ",".join(FEATURES)])
def test_without(lab, usual, missing):
    site = MixedSite(lab, machines=False, environment={"VTEPD_WITHOUT": missing})
    assert reports(site) != usual, "the reports tell it"
    for one, other in PAIRS:
        for family, network in enumerate(NETWORKS):
            second = site.guests[other]
            address = addresses(second.number, network)[family % 2]
            try:
                exchange(site.guests[one], second, address, size=1 << 20)
            except AssertionError as error:
                raise AssertionError(f"{one} to {other}, {address}: {error}; {site.drops()}") from None
