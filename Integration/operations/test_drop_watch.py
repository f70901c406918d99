"""`vtepctl show drops --watch`: what is dropped now."""
import json
import subprocess

import pytest

from lab.daemon import VTEPCTL, Refused
from lab.frames import ethernet, tagged
from lab.namespaces import end_process
from lab.site import Site


def test_what_is_dropped_now(lab):
    site = Site(lab, vtepd=1)
    daemon, guest = site.daemons[0], site.guests[0]
    raw = guest.namespace.raw_socket(guest.device, receive=False)
    frame = tagged(ethernet("02:00:00:00:00:01"), 77)
    raw.send(frame)
    watch = lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "show", "drops", "--watch", "--interval", "0.2",
                      stdout=subprocess.PIPE, text=True)
    try:
        # What was dropped before is not shown.
        assert json.loads(watch.stdout.readline()) == []
        sent, counted = 0, 0
        while counted < 5:
            raw.send(frame)
            sent += 1
            for row in json.loads(watch.stdout.readline()):
                assert (row["reason"], row["where"]) == ("vlan-not-bound", guest.name) and row["per_second"] > 0
                counted += 1
        assert daemon.drops() == {"vlan-not-bound": sent + 1}
    finally:
        end_process(watch)
    with pytest.raises(Refused, match="0.1 to 3600"):
        daemon.ctl("show", "drops", "--watch", "--interval", "0")
