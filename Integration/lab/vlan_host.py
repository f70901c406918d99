#!/usr/bin/python3
"""A VLAN device for kernels that have none: vlan_host.py TRUNK VLAN NAME READY-FILE

Creates the tap NAME. Frames that the IP stack sends there leave TRUNK with an 802.1Q tag, and frames that TRUNK receives with this
tag arrive without it. The kernel removes tags from received frames and reports them beside the packet. Checksums and TCP segmentation are
left to TRUNK in both directions, as by the kernel's own VLAN devices.
"""
import fcntl
import pathlib
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x400454D0, 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 8, 15, 23, 1, 1
AUXDATA = struct.Struct("=IIIHHHH")  # status, length, captured, mac, net, tag, tag protocol
TAG_IS_VALID = 0x10
# struct virtio_net_hdr: flags, kind of segments, length of the headers, segment size, where the checksum starts, its field
REQUEST = struct.Struct("=BBHHHH")
NEEDS_CSUM = 1


def moved(request, count):
    """The request for a frame whose headers have grown by `count`."""
    flags, kind, headers, size, start, field = REQUEST.unpack(request)
    return REQUEST.pack(flags, kind, headers + count if kind else headers, size, start + count if flags & NEEDS_CSUM else start, field)


def main():
    trunk, vlan, name, ready = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    skip = REQUEST.size
    tap = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    raw.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    raw.bind((trunk, 3))
    raw.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                   struct.pack("=iHH8s", socket.if_nametoindex(trunk), PACKET_MR_PROMISC, 0, b""))
    pathlib.Path(ready).touch()
    tag = struct.pack("!HH", 0x8100, vlan)
    while True:
        readable, _, _ = select.select([tap, raw], [], [])
        try:
            if tap in readable:
                frame = tap.read(70000)
                raw.send(moved(frame[:skip], len(tag)) + frame[skip:skip + 12] + tag + frame[skip + 12:])
            if raw in readable:
                frame, notes, _, _ = raw.recvmsg(70000, 1024)
                for level, kind, data in notes:
                    if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                        status, _, _, _, _, tci, _ = AUXDATA.unpack(data[:AUXDATA.size])
                        if status & TAG_IS_VALID and tci & 0xFFF == vlan:
                            tap.write(frame)
        except OSError:
            continue  # one of the two is down at the moment: the frame is lost, as on a wire


main()
