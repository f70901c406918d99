"""Requests to the control socket without one process each, for tests that make many changes per second."""
import json
import socket


class ControlSession:
    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(daemon.socket_path))
        self.lines = self.socket.makefile("rb")
        self.number = 0
        daemon.lab.on_close(self.socket.close)

    def __call__(self, method, **parameters):
        """The result; raises AssertionError with the daemon's error."""
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": parameters}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        assert "error" not in answer, f"{method} {parameters}: {answer['error']}"
        return answer["result"]
