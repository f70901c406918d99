"""Programs in Python environments of their own, driven by lines of JSON: commands [name, argument...] and answers {"ok": value} or {"error": text}."""
import json
import pathlib
import select
import subprocess

from .namespaces import run

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class JSONProgram:
    """`program`: a file of this folder, which prints the answer "ready" first."""

    def __init__(self, namespace, program, *arguments):
        self.namespace, self.arguments = namespace, arguments
        self.program = pathlib.Path(__file__).with_name(program)
        self.errors = namespace.lab.directory / f"{self.program.stem}.errors"
        # From the package index when it is not there yet: minutes.
        self.python = run(REPOSITORY / "scripts/networking-l2gw", timeout=900).stdout.strip()
        self.process = None

    def start(self):
        with open(self.errors, "a") as errors:
            self.process = self.namespace.popen(self.python, "-B", "-W", "ignore", self.program, *self.arguments, stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.answer(120) == "ready"
        return self

    def kill(self):
        """As a crash."""
        self.process.kill()
        self.process.wait()

    def log(self):
        return ""

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"no answer: {self.errors.read_text()[-2000:]}\n{self.log()}"
        answer = json.loads(line)
        assert "error" not in answer, f"{answer['error']}\n{self.log()}"
        return answer["ok"]

    def __call__(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.answer(60)
