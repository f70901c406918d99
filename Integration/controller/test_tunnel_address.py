"""Which of our addresses is published for others to send to: one, the one in our locators."""
import pytest

from lab import wait_until
from lab.controlled import ControlledSite
from lab.daemon import VTEPD
from lab.namespaces import run

IPV6 = "2001:db8::1"


def both(lab, **ovsdb):
    site = ControlledSite(lab, start=False)
    site.daemon.config["underlay"]["addresses"] = [site.host.ipv4, site.host.ipv6]
    site.daemon.config["ovsdb"].update(ovsdb)
    site.daemon.write_config()
    site.server.start()
    site.start()
    site.add_switch()
    site.ctl("bind-ls", "hv1", "p1", 0, "ls0")
    return site


def published(site):
    """The addresses in tunnel_ips, and those of locators."""
    return (site.rows("Physical_Switch", "tunnel_ips")[0]["tunnel_ips"],
            {row["dst_ip"] for row in site.rows("Physical_Locator", "dst_ip")})


def wait_published(site, address):
    wait_until(lambda: published(site) == (address, {address}), lambda: f"only {address} is published: {published(site)}")
    assert site.daemon.ovsdb()["tunnel_address"] == address


def test_ipv4_is_the_default_and_the_other_can_be_chosen(lab):
    site = both(lab)
    wait_published(site, site.host.ipv4)
    # Nobody has configured anything, so there is nothing to publish.
    assert site.daemon.ovsdb()["faults"] == []
    site.ctl("add-ucast-remote", "ls0", site.vm.mac, "192.0.2.2")
    wait_until(lambda: site.rows("Tunnel"), "the other end's row is there")
    site.daemon.config["ovsdb"]["tunnel-address"] = site.host.ipv6
    site.daemon.reload("configuration reloaded: ovsdb changed")
    # No row of any table leads to the former address.
    wait_until(lambda: published(site) == (site.host.ipv6, {site.host.ipv6, "192.0.2.2"}), lambda: f"only {site.host.ipv6} is published: {published(site)}")
    assert site.daemon.ovsdb()["tunnel_address"] == site.host.ipv6
    assert f'tunnel-address: "{site.host.ipv6}"' in site.daemon.ctl("config", "show")["text"]


def test_other_address_family_is_reported(lab):
    """The printed remedy works."""
    site = both(lab)
    site.ctl("add-mcast-remote", "ls0", "unknown-dst", "2001:db8::2")

    def faults():
        return site.daemon.ovsdb()["faults"]

    text = wait_until(faults, lambda: f"the operator gets the report:\n{site.daemon.log()[-2000:]}")[0]
    assert "1 VTEPs of the controller have IPv6 addresses" in text
    assert text in site.daemon.log() and text in site.daemon.table("show", "ovsdb")
    key, value = text.rsplit("ovsdb.", 1)[1].split(" publishes")[0].split(": ")
    site.daemon.config["ovsdb"][key] = value
    site.daemon.reload("configuration reloaded: ovsdb changed")
    wait_published_address = site.host.ipv6
    wait_until(lambda: published(site)[0] == wait_published_address, lambda: f"{wait_published_address} is published: {published(site)}")
    wait_until(lambda: faults() == [], lambda: f"no reports are left: {faults()}")
    assert site.faults() == set()


@pytest.mark.parametrize("value, message", [
    ("192.0.2.9", "tunnel-address must be one of underlay.addresses, 192.0.2.1 or 2001:db8::1, not 192.0.2.9"),
    ("here", "tunnel-address must be an IPv4 or IPv6 address, not 'here'"),
])
def test_wrong_addresses(lab, value, message):
    path = lab.directory / "vtepd.yaml"
    path.write_text("underlay: { addresses: [192.0.2.1, '2001:db8::1'], device: u0 }\n"
                    f"ovsdb:\n  remotes: ['unix:/run/db.sock']\n  tunnel-address: {value}\n")
    done = run(VTEPD, "--check", "--config", path, check=False)
    assert done.returncode == 1 and f"vtepd.yaml:4:19: {message}" in done.stderr
