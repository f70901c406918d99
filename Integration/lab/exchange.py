"""TCP between two guests, first one way, then the other over the same connection, judged by checksum.

A namespace's end is a thread of ours with a socket in the namespace; a virtual machine's end is busybox.
"""
import contextlib
import hashlib
import itertools
import os
import socket
import threading

from .guest import VirtualMachine
from .jobs import Job, listen

PORTS = itertools.count(20000)
DATA = os.urandom(8 << 20)


def exchange(client, server, address, size=4 << 20, seconds=30):
    """`size` octets from the client to `address` of the server, then as many back. The AssertionError says which way failed, and how."""
    port = next(PORTS)
    there, back = (kind_of(guest)(guest, where, port, size, seconds) for guest, where in ((client, address), (server, None)))
    with back, there:
        for end in (there, back):
            end.finish()
    problems = [f"{end.guest.name}: {end.problem}" for end in (there, back) if end.problem]
    assert not problems, "; ".join(problems)
    assert there.sent == back.got, f"there: {size} octets arrive, some of them changed"
    assert back.sent == there.got, f"back: {size} octets arrive, some of them changed"


def kind_of(guest):
    return MachineEnd if isinstance(guest, VirtualMachine) else NamespaceEnd


class NamespaceEnd:
    """`address` None: the server, which receives first. Nothing of it remains after `with`."""

    def __init__(self, guest, address, port, size, seconds):
        self.guest, self.address, self.size, self.sent, self.got, self.problem = guest, address, size, None, None, None
        with guest.namespace.entered():
            self.socket = socket.socket(socket.AF_INET if address and ":" not in address else socket.AF_INET6)
        self.open = [self.socket]
        self.socket.settimeout(seconds)
        self.target = (address, port)
        if address is None:
            self.socket.bind(("::", port))
            self.socket.listen(1)
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def work(self):
        try:
            if self.address:
                self.socket.connect(self.target)
                self.send(self.socket)
                self.receive(self.socket, "back")
            else:
                connection, _ = self.socket.accept()
                self.open.append(connection)
                connection.settimeout(self.socket.gettimeout())
                self.receive(connection, "there")
                self.send(connection)
                connection.recv(1)  # until the client has everything
        except (OSError, AssertionError) as error:
            self.problem = error
        finally:
            for each in self.open:
                each.close()

    def send(self, connection):
        data = memoryview(DATA)[:self.size]
        self.sent = hashlib.sha256(data).hexdigest()
        connection.sendall(data)

    def receive(self, connection, way):
        got, count = hashlib.sha256(), 0
        while count < self.size:
            try:
                more = connection.recv(min(1 << 18, self.size - count))
            except OSError as error:
                raise AssertionError(f"{way}: {error} after {count} of {self.size} octets") from None
            assert more, f"{way}: the connection ended after {count} of {self.size} octets"
            got.update(more)
            count += len(more)
        self.got = got.hexdigest()

    def finish(self):
        self.thread.join()

    def __exit__(self, *_):
        for each in self.open:
            with contextlib.suppress(OSError):  # closed, or not connected
                each.shutdown(socket.SHUT_RDWR)
        self.finish()


class MachineEnd:
    """The same in a virtual machine, which sends a file of its own."""

    PROGRAM = ("#!/bin/sh\\n[ $1 = server ] || cat /data\\nhead -c $2 | tee /tmp/got-$3 | sha256sum >/tmp/sum-$3\\n"
               "[ $1 = client ] || { cat /data; cat >/dev/null; }\\n")

    def __init__(self, guest, address, port, size, seconds):
        self.guest, self.address, self.port, self.size, self.seconds = guest, address, port, size, seconds
        self.problem, self.got, self.job = None, None, None
        if not hasattr(guest, "exchanged"):
            guest.exchanged = {}
            guest.shell(f"printf '{self.PROGRAM}' >/bin/exchange && chmod +x /bin/exchange")
        if size not in guest.exchanged:
            guest.exchanged[size] = guest.shell(f"head -c {size} /dev/urandom >/data-{size}; sha256sum </data-{size}").split()[0]
        self.sent = guest.exchanged[size]

    def __enter__(self):
        self.guest.shell(f"ln -sf /data-{self.size} /data; rm -f /tmp/sum-* /tmp/got-*")
        if self.address:
            self.job = Job(self.guest, f"nc {self.address} {self.port} {self.command('client')}")
        else:
            self.job = listen(self.guest, self.port, f"nc -l -p {self.port} {self.command('server')}")
        return self

    def command(self, role):
        return f"-e /bin/exchange {role} {self.size} {self.port}"

    def finish(self):
        if self.address:
            self.job.wait(self.seconds)
        got, checksum = (f"/tmp/{name}-{self.port}" for name in ("got", "sum"))
        count, *checksum = self.guest.shell(f"touch {got} {checksum}; wc -c <{got}; cut -c 1-64 {checksum}").split()
        if count == str(self.size) and checksum:
            self.got = checksum[0]
        else:
            self.problem = f"{count} of {self.size} octets arrived here"

    def __exit__(self, *_):
        self.job.__exit__()
