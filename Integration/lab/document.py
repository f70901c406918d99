"""Runs the commands of a page of the documentation literally, as a reader pastes them, and compares what they print with what the page shows.

A page is Markdown with blocks of these kinds:

    ```sh         commands, run in order in one bash with `set -e`, as root
    ```sh lab     the same; the page says that they play what the lab needs (a second host, a switch)
    ```text       what the block before it prints: a number matches any number, spaces any spaces, `…` any text, and alone on a line any
                  lines
    ```console    commands that are shown and not run (apt-get, systemctl)

The bash is the lab's (docs/howto/lab/shell): it has a network of its own, /run is empty, changes of /etc, /usr and /var vanish, and all of its
processes end with it. So the paths and the names of the page are used as they are, and several pages can run side by side.
"""
import os
import pathlib
import re
import textwrap

from .daemon import BUILD, REPOSITORY
from .namespaces import run

FENCE = re.compile(r"^( *)```(.*)$")
KINDS = ("sh", "sh lab", "text", "console")
# Numbers that stand alone or before a unit, and not those in addresses, names and versions.
NUMBER = re.compile(r"(?<![\w.:-])\d+(?:\.\d+)?(?![\d:-]|\.\d)")

SHELL = REPOSITORY / "docs/howto/lab/shell"


class Block:
    def __init__(self, kind, line, text):
        self.kind, self.line, self.text = kind, line, text

    @property
    def is_run(self):
        return self.kind in ("sh", "sh lab")


class Page:
    def __init__(self, path, text=None):
        self.path, self.blocks = pathlib.Path(path), []
        self.text = self.path.read_text() if text is None else text
        opening, lines = None, []
        for number, line in enumerate(self.text.splitlines(), 1):
            fence = FENCE.match(line)
            if fence and opening is None:
                opening, lines = (fence[2].strip(), number), []
            elif fence:
                self.blocks.append(Block(*opening, textwrap.dedent("\n".join(lines)) + "\n"))
                opening = None
            elif opening is not None:
                lines.append(line)
        assert opening is None, f"{self.path}:{opening[1]}: this block has no end"

    @property
    def name(self):
        return str(self.path.relative_to(REPOSITORY))

    def outside(self):
        """The text between the blocks."""
        return re.sub(r"(?ms)^```.*?^```$", "", self.text)

    def problems(self):
        """What is wrong with the page before anything is run."""
        before = None
        for block in self.blocks:
            if block.kind not in KINDS:
                yield f"{self.name}:{block.line}: a block of kind '{block.kind}', which no test runs; there are {', '.join(KINDS)}"
            if block.kind == "text" and not (before and before.is_run):
                yield f"{self.name}:{block.line}: no commands before this output"
            before = block

    def run(self, lab, seconds=300):
        """Raises AssertionError with the place in the page when a command fails or prints something else."""
        scratch = lab.directory / f"page-{self.path.stem}"
        scratch.mkdir()
        (scratch / "home").mkdir()
        commands = [block for block in self.blocks if block.is_run]
        script = ["set -e", "cd home"]
        for number, block in enumerate(commands):
            (scratch / f"block-{number}").write_text(block.text)
            script.append(f"source {scratch}/block-{number} >{scratch}/output-{number} 2>&1\ntouch {scratch}/passed-{number}")
        (scratch / "session").write_text("\n".join(script) + "\n")
        done = run("timeout", "-s", "KILL", seconds, SHELL, scratch / "session", check=False, timeout=seconds + 60, cwd=scratch,
                   env={**os.environ, "VTEPD_BUILD": str(BUILD), "HOME": str(scratch / "home")})
        outputs = [pathlib.Path(scratch, f"output-{number}") for number in range(len(commands))]
        outputs = [path.read_text(errors="replace") if path.exists() else "" for path in outputs]
        for number, block in enumerate(commands):
            if not (scratch / f"passed-{number}").exists():
                raise AssertionError(f"{self.name}:{block.line}: these commands failed (exit status {done.returncode}; -9: not done after "
                                     f"{seconds} s):\n{block.text}\nThey printed:\n{outputs[number]}\n{done.stdout}{done.stderr}{self.logs(scratch)}")
        for block, following in zip(self.blocks, self.blocks[1:]):
            if following.kind == "text":
                output = outputs[commands.index(block)]
                assert matches(following.text, output), (f"{self.name}:{following.line}: the page shows\n{following.text}\nand the commands print\n"
                                                         f"{output}{self.logs(scratch)}")
        return outputs

    @staticmethod
    def logs(scratch):
        return "".join(f"\n{path.name}:\n{path.read_text(errors='replace')[-2500:]}" for path in sorted((scratch / "home").glob("*.log")))


def pattern(text):
    """The regular expression of a line as the page shows it."""
    pieces = []
    for part in re.split(r"(…|\s+)", text.strip()):
        if part == "…":
            pieces.append(".*")
        elif part.isspace():
            pieces.append(r"\s+")
        else:
            at = 0
            for number in NUMBER.finditer(part):
                pieces += [re.escape(part[at:number.start()]), r"\d+(?:\.\d+)?"]
                at = number.end()
            pieces.append(re.escape(part[at:]))
    return "".join(pieces)


def matches(shown, printed):
    """Whether the whole output is what the page shows. Without left-out lines, their order does not matter: the MAC table has none."""
    patterns = [line for line in shown.splitlines() if line.strip()]
    lines = [line for line in printed.splitlines() if line.strip()]
    if "…" in map(str.strip, patterns):
        whole = "".join(r"(?:[^\n]*\n)*?" if line.strip() == "…" else rf"\s*{pattern(line)}[ \t]*\n" for line in patterns)
        return re.fullmatch(whole, "".join(f"{line}\n" for line in lines)) is not None
    return len(patterns) == len(lines) and can_pair([pattern(line) for line in patterns], [line.strip() for line in lines])


def can_pair(patterns, lines):
    return not patterns or any(re.fullmatch(patterns[0], line) and can_pair(patterns[1:], lines[:at] + lines[at + 1:])
                               for at, line in enumerate(lines))
