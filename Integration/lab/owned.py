"""Owned uplinks for tests that know nothing of them (VTEPD_TEST_DRIVER=owned).

    shared:  vtepd ── u0 (veth) ── switch
    owned:   vtepd ── u0 (its tap): address, ARP, IGMP
               └──── u0-n (the NIC: DPDK's tap driver) ══ u0-w (the veth) ── switch

The veth of a host becomes the wire of a NIC, and a tap with its name, addresses and routes takes its place. nftables hands frames from one
side of the wire to the other. Captures and raw sockets of tests on `u0` listen on the wire, where VXLAN packets still are.
"""
import json
import os
import pathlib
import unittest

from .namespaces import wait_until

SHARED, OWNED = ("af_packet", "af_xdp"), "owned"
# Of the interface in /proc/sys/net/ipv6/conf, which a test may have set.
SETTINGS = ("accept_dad", "accept_ra", "disable_ipv6")


def wire(namespace, interface):
    """Where the underlay's packets are seen."""
    return namespace.owned.get(interface, (interface,))[0]


def translated(namespace, config):
    """The configuration with the devices that are owned as such."""
    underlay = dict(config.get("underlay") or {})
    names = underlay.get("device")
    devices = names if isinstance(names, list) else [names]
    if "driver" in underlay or not all(device in namespace.owned for device in devices):
        return config
    nics = [f"net_tap{index},iface={nic},mac={mac}" for index, (_, nic, mac) in enumerate(namespace.owned[device] for device in devices)]
    del underlay["device"]
    keys = {"dpdk": nics, "tap": devices} if isinstance(names, list) else {"dpdk": nics[0], "tap": names}
    return {**config, "underlay": {**underlay, **keys}}


def own(namespace, config):
    """Turns the devices of the configuration into owned ones, if it names no driver and all of them are veths here."""
    underlay = config.get("underlay") if isinstance(config, dict) else None
    if not isinstance(underlay, dict) or "driver" in underlay or not underlay.get("device"):
        return
    names = underlay["device"]
    devices = [name for name in (names if isinstance(names, list) else [names]) if name not in namespace.owned]
    links = {row["ifname"]: row for row in json.loads(namespace.ip("-j -d link show"))}
    if all(links.get(device, {}).get("linkinfo", {}).get("info_kind") == "veth" for device in devices):
        routes = saved_routes(namespace, devices)
        for device in devices:
            take(namespace, links[device])
        for family, route in routes:
            namespace.ip(f"{family} route replace {route}")


def saved_routes(namespace, devices):
    """(family, route) of those that somebody has added by a device."""
    found = []
    for family in ("-4", "-6"):
        for line in namespace.ip(f"{family} -o route show").splitlines():
            words = line.replace("\\", " ").split()
            if "kernel" not in words and any(device in words for device in devices):
                found.append((family, " ".join(word for word in words if word not in ("linkdown", "dead"))))
    return found


def take(namespace, link):
    device, mac, mtu, is_up = link["ifname"], link["address"], link["mtu"], "UP" in link["flags"]
    veth, nic = f"{device}-w", f"{device}-n"
    addresses = [f"{row['local']}/{row['prefixlen']}" for row in json.loads(namespace.ip(f"-j address show dev {device}"))[0]["addr_info"]
                 if row["scope"] != "link"]
    neighbors = namespace.ip(f"neigh show dev {device} nud permanent").splitlines()
    with namespace.entered():
        settings = {name: pathlib.Path("/proc/sys/net/ipv6/conf", device, name).read_text().strip() for name in SETTINGS}
    # The wire carries all sizes and joins nothing; the NIC gets its MTU from vtepd.
    namespace.ip(f"link set {device} down")
    namespace.ip(f"link set {device} name {veth}")
    namespace.ip(f"address flush dev {veth}")
    namespace.run("ethtool", "-K", veth, "gro", "off")
    namespace.ip(f"tuntap add {nic} mode tap multi_queue")
    for name in (veth, nic):
        namespace.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 1)
        namespace.ip(f"link set {name} txqueuelen 10000 up")
    namespace.ip(f"link set {veth} mtu 65535")
    namespace.run("nft", f"add table netdev {device}; "
                  f"add chain netdev {device} in {{ type filter hook ingress device {veth} priority 0; policy drop; }}; "
                  f"add chain netdev {device} out {{ type filter hook ingress device {nic} priority 0; policy drop; }}; "
                  f"add rule netdev {device} in fwd to {nic}; add rule netdev {device} out fwd to {veth}")
    # The tap keeps its addresses while vtepd is away.
    namespace.ip(f"tuntap add {device} mode tap multi_queue")
    namespace.ip(f"link set {device} address {mac} mtu {mtu}")
    for name, value in settings.items():
        namespace.sysctl(f"net.ipv6.conf.{device}.{name}", value)
    for address in addresses:
        namespace.ip(f"address add {address} dev {device}" + (" nodad" if ":" in address else ""))
    if is_up:
        namespace.ip(f"link set {device} up")
    for line in neighbors:
        namespace.ip(f"neigh replace {line} dev {device}")
    namespace.owned[device] = (veth, nic, mac)


def restore(namespace, device):
    """After an MTU below 1280: the kernel has made the IPv6 of the NIC's stand-in anew, switched on, with the link-local address of the tap."""
    if device in namespace.owned:
        nic = namespace.owned[device][1]
        wait_until(lambda: int(namespace.run("cat", f"/sys/class/net/{nic}/mtu").stdout) >= 1280, "the NIC has the tap's MTU")
        namespace.sysctl(f"net.ipv6.conf.{nic}.disable_ipv6", 1)


def is_chosen():
    return os.environ.get("VTEPD_TEST_DRIVER") == OWNED


def needs_room():
    """For tests of packets above 1,500 octets on the underlay."""
    if is_chosen():
        raise unittest.SkipTest("the NIC that DPDK's tap driver stands for has an MTU of 1500")
