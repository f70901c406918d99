"""The tutorial and the how-tos: their commands are run literally, and what they print is what the pages show (lab/document.py)."""
import re

import pytest

from lab.daemon import REPOSITORY
from lab.document import Page, matches

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
    assert len(shown) * 5 <= len(blocks), f"{len(shown)} of {len(blocks)} blocks are not run"
