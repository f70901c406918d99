"""TCP streams between guests of any kind, judged by the checksum of what has arrived.

Both ends are busybox: virtual machines have nothing else, and namespaces have it, too.
"""
from .namespaces import wait_until


def tcp_stream(source, target, address, kilobytes=1024, port=5000, seconds=120):
    """Sends random bytes from one guest to an address of the other, and asserts that they arrive."""
    sent, got, done, held = (f"{guest.scratch}/{name}" for guest, name in
                             ((source, "sent"), (target, "got"), (target, "done"), (target, "held")))
    target.shell(f"rm -f {got} {done} {held}; mkfifo {held}")
    # Its standard input stays open: nc would close the connection when that ends.
    target.shell(f"(nc -l -p {port} <>{held} >{got}; touch {done}) >/dev/null 2>&1 &")
    wait_until(lambda: target.shell(f"netstat -lnt | grep -q ':{port} '", check=False)[0] == 0, f"{target.name} listens")
    source.shell(f"dd if=/dev/urandom of={sent} bs=1k count={kilobytes} 2>/dev/null; nc {address} {port} <{sent}", seconds=seconds)
    wait_until(lambda: target.shell(f"test -e {done}", check=False)[0] == 0, f"{target.name} has the end of the stream", seconds)
    sums = [guest.shell(f"sha256sum <{path}; wc -c <{path}").split() for guest, path in ((source, sent), (target, got))]
    assert sums[0] == sums[1], f"{source.name} sent {sums[0]}, {target.name} received {sums[1]}"
    assert int(sums[0][-1]) == kilobytes * 1024
    source.shell(f"rm -f {sent}")
    target.shell(f"rm -f {got} {done} {held}")
