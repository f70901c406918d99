"""The documentation: the tutorial's and the how-tos' commands are run literally, and what they print is what the pages show (lab/document.py);
generated pages are what the programs say."""
import json
import re

import pytest

from lab.daemon import BUILD, REPOSITORY, VTEPCTL
from lab.document import Page, matches
from lab.namespaces import run

DOCS = REPOSITORY / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): Page(path) for path in [DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md"))]}


@pytest.mark.parametrize("name", PAGES)
def test_commands_do_what_the_page_says(lab, name):
    PAGES[name].run(lab)


def test_pages_are_made_of_commands_that_run():
    assert not [problem for page in PAGES.values() for problem in page.problems()]
    blocks = [block for page in PAGES.values() for block in page.blocks]
    # Packages are installed and services are started by hand: short, and few.
    shown = [block for block in blocks if block.kind == "console"]
    assert all(len(block.text.splitlines()) <= 4 for block in shown)
    assert len(shown) * 10 <= len(blocks), f"{len(shown)} of {len(blocks)} blocks are not run"
    # Nothing hides from the test in a block that Markdown makes of indented lines: those are drawings.
    for page in PAGES.values():
        assert not re.findall(r"(?m)^    (?:sudo|ip|vtepctl|systemctl|virsh)\b.*", page.outside()), page.name


@pytest.mark.parametrize("commands, output, reason", [
    ("false", "", "these commands failed"),
    ("echo 1; false; echo 2", "1\n2", "these commands failed"),
    ("echo one", "two", "the page shows"),
    ("echo one; echo two", "one", "the page shows"),
    ("touch /etc/vtepd/x /var/x /run/x; ls /etc/vtepd; hostname changed", "x", None),
])
def test_a_page_that_is_wrong_fails(lab, commands, output, reason):
    """... and leaves nothing behind."""
    path = DOCS / "howto" / "none.md"
    page = Page(path, f"# Page\n\n```sh\n{commands}\n```\n" + (f"```text\n{output}\n```\n" if output else ""))
    if reason:
        with pytest.raises(AssertionError, match=f"docs/howto/none.md:\\d+: {reason}"):
            page.run(lab)
    else:
        page.run(lab)
    assert not any(path.exists() for path in (DOCS.parent / "x", *map(type(path), ("/etc/vtepd/x", "/var/x", "/run/x"))))
    assert run("hostname").stdout.strip() != "changed"


@pytest.mark.parametrize("shown, printed, same", [
    ("time 12.5 ms", "time 7 ms", True),
    ("a   b", "a b", True),
    ("192.0.2.1 up", "192.0.2.2 up", False),
    ("02:00:00:00:00:01 5", "02:00:00:00:00:02 5", False),
    ("vm1 up", "vm2 up", False),
    ("first\n…\nlast", "first\n1\n2\nlast", True),
    ("first\n…\nlast", "first\nlast\nmore", False),
    ("srw … name", "srw root root name", True),
    ("one\ntwo", "two\none", True),
    ("one\ntwo", "one", False),
    ("one", "one\none", False),
])
def test_comparison_of_outputs(shown, printed, same):
    assert matches(shown, printed) == same


def test_reference_is_what_the_programs_say(tmp_path):
    run(REPOSITORY / "scripts/reference", "--check", BUILD)


def anchors(text):
    """Of the headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}


def test_links_lead_somewhere():
    broken = []
    for page in [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = page.parent / path if path else page
            if not found.exists() or anchor and anchor not in anchors(found.read_text()):
                broken.append(f"{page.relative_to(REPOSITORY)}: {target}")
    assert not broken


def cited_commands(text):
    """The words behind `vtepctl` in code: in a line of a block, or between backticks."""
    for line in re.findall(r"(?m)^ *(?:\$ )?(?:sudo )?vtepctl (.+)$", text) + re.findall(r"`(?:sudo )?vtepctl ([^`]+)`", text):
        yield re.split(r" +#| [|>&;]|  +|\\n", line)[0].split()


def mistake(words, root):
    """Why vtepctl would not understand these words, or None."""
    node, words = root, list(words)
    while words:
        word = words.pop(0).strip("[]…,.")
        below = {sub["commandName"]: sub for sub in node.get("subcommands", [])}
        options = {("--" if name["kind"] == "long" else "-") + name["name"]
                   for argument in [*node.get("arguments", []), *root["arguments"]] for name in argument.get("names", [])}
        if word.startswith("-") and word != "-":
            if word.split("=")[0] not in options:
                return f"{node['commandName']} has no option {word}"
            if node is root and words:
                words.pop(0)  # its value
        elif below and re.fullmatch(r"[a-z-]+", word):
            if word not in below:
                return f"{node['commandName']} has no command {word}"
            node = below[word]
    return None


def test_cited_commands_exist():
    root = json.loads(run(VTEPCTL, "--experimental-dump-help").stdout)["command"]
    assert mistake("show drosp".split(), root) and mistake("port set x --enabeld".split(), root)
    pages = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "howto").glob("*.md"))]
    found = [(page, words) for page in pages for words in cited_commands(page.read_text())]
    assert len(found) > 200
    assert not [f"{page.relative_to(REPOSITORY)}: vtepctl {' '.join(words)}: {why}" for page, words in found if (why := mistake(words, root))]
