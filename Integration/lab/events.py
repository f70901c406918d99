"""`vtepctl monitor` beside a test: what it has printed so far."""
import json
import os
import signal
import subprocess
import threading

from .daemon import VTEPCTL
from .namespaces import end_process, wait_until


class Events:
    def __init__(self, daemon, *arguments):
        self.process = daemon.lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "monitor", "--json", *map(str, arguments),
                                        stdout=subprocess.PIPE, text=True)
        self.all = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.all.append(json.loads(line))

    def find(self, kind=None, text="", **fields):
        return [row for row in list(self.all) if "seq" in row and (kind is None or row["type"] == kind) and text in row["text"]
                and all(row.get(key) == value for key, value in fields.items())]

    def wait(self, kind, text="", **fields):
        """The first event of a type, with this in its text and these fields."""
        wait_until(lambda: self.find(kind, text, **fields), lambda: f"event {kind} {text!r} {fields} among {self.all[-30:]}")
        return self.find(kind, text, **fields)[0]

    @property
    def gaps(self):
        return [row["gap"] for row in list(self.all) if "gap" in row]

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        end_process(self.process)
