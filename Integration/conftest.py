"""Fixtures of the integration tests. They need root and a release build; without these, tests are skipped and say why."""
import os
import pathlib
import re

import pytest

from lab import Lab
from lab.daemon import VTEPCTL, VTEPD


def pytest_collection_modifyitems(items):
    reason = None
    if os.geteuid() != 0:
        reason = "network namespaces need root"
    elif not (VTEPD.exists() and VTEPCTL.exists()):
        reason = f"{VTEPD} or vtepctl is not built"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logreport(report):
    """Records the names of failed tests, for scripts/test to run them once more."""
    path = os.environ.get("VTEPD_FAILED_TESTS")
    if path and report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        with open(path, "a") as names:
            # pytest-xdist adds the group.
            names.write(f"{pathlib.Path(__file__).parent.name}/{re.sub(r'@[^@/]*$', '', report.nodeid)}\n")


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the daemons' logs to a failure."""
    outcome = yield
    report = outcome.get_result()
    found = getattr(item, "funcargs", {})
    made = found.get("lab") or getattr(found.get("site"), "lab", None)
    if report.failed and made:
        for path in sorted([*made.directory.glob("*/vtepd.log"), *made.directory.glob("*/kernel.log")]):
            report.sections.append((f"{path.name} of {path.parent.name}", path.read_text(errors="replace")[-2500:]))
