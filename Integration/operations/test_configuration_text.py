"""The output of `config show`, checked with another YAML parser."""
import re

import pytest
import yaml

from lab import Site
from lab.daemon import VTEPCTL, VTEPD
from lab.namespaces import run

ODD = {"yes", "No", "on", "y", "null", "~", "1e3", "0x10", "0o17", "017", "1_000", "-1", ".5", ".inf", "2026-11-28", "12:30:45", "=", "<<", "-", "a: b",
       "#a", "'", '"', " a ", "a\nb", "é", "\u2028", "plain"}


def test_another_reader_sees_the_same(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    daemon.config["name"] = "1e3"
    daemon.config["profiles"] = {name: {"mtu": 1400} for name in ODD}
    daemon.config["underlay"]["udp-checksum"] = "on"
    daemon.config["ports"] += [{"name": "0x10", "kind": "tap", "device": "2026-11-28", "profile": "yes", "offloads": "off"}]
    daemon.stop()
    daemon.write_config()
    daemon.start()
    text = daemon.table("config", "show")
    shown = yaml.safe_load(text)
    assert shown["name"] == "1e3"
    assert set(shown["profiles"]) == ODD
    assert shown["underlay"]["udp-checksum"] == "on" and shown["dataplane"]["hugepages"] == "off"
    assert shown["underlay"]["addresses"] == daemon.config["underlay"]["addresses"]
    port = next(port for port in shown["ports"] if port["name"] == "0x10")
    assert (port["device"], port["profile"], port["offloads"]) == ("2026-11-28", "yes", "off")
    assert [vni["vni"] for vni in shown["vnis"]] == sorted(vni["vni"] for vni in daemon.config["vnis"])
    # vtepd reads the other parser's output just like its own.
    for again in (text, yaml.safe_dump(shown)):
        daemon.config_path.write_text(again)
        assert daemon.ctl("config", "check", daemon.config_path)["changes"] == []
        assert daemon.ctl("config", "apply", daemon.config_path)["changes"] == []
    assert daemon.table("config", "show") == text


@pytest.mark.parametrize("program", [VTEPD, VTEPCTL], ids=lambda program: program.name)
def test_programs_come_without_unicode_data(program):
    needed = re.findall(r"NEEDED +(\S+)", run("objdump", "-p", program).stdout)
    assert needed and not [name for name in needed if re.search(r"ICU|libFoundation\.so|FoundationInternationalization", name)]
