"""docs/ovsdb.md names every table and column of the schema, and for each a test that exists."""
import json
import pathlib
import re

from lab.daemon import REPOSITORY
from lab.ovsdb import SCHEMA

ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| (.+) \| `([\w.:\[\]-]+)` \|$")


def test_every_column_is_documented_and_tested():
    page = (REPOSITORY / "docs/ovsdb.md").read_text()
    rows = [ROW.match(line) for line in page.splitlines() if re.match(r"\| `[A-Z]\w+\.", line)]
    assert None not in rows, [line for line in page.splitlines() if re.match(r"\| `[A-Z]\w+\.", line) and not ROW.match(line)]
    documented = [(row[1], row[2]) for row in rows]
    schema = {(table, column) for table, content in json.loads(pathlib.Path(SCHEMA).read_text())["tables"].items() for column in content["columns"]}
    assert len(documented) == len(set(documented)), [place for place in documented if documented.count(place) > 1]
    assert set(documented) == schema, (schema - set(documented), set(documented) - schema)
    for name in {row[4] for row in rows}:
        assert exists(name), f"docs/ovsdb.md names the test {name}, which does not exist"


def exists(name):
    """A test of pytest as FILE.py::FUNCTION, or one of Swift as SUITE.FUNCTION."""
    if "::" in name:
        file, function = name.split("::")
        found = list((REPOSITORY / "Integration").glob(f"*/{file}"))
        return len(found) == 1 and re.search(rf"^def {re.escape(function)}\(", found[0].read_text(), re.MULTILINE)
    suite, function = name.split(".")
    found = list((REPOSITORY / "Tests").glob(f"**/{suite}.swift"))
    return len(found) == 1 and re.search(rf"\bfunc {re.escape(function)}\(", found[0].read_text())
