"""What do all tests share: the servers' fixtures, golden files, and a CI in which nothing skips?"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sre.core.secrets import redactor

settings.register_profile("house", database=None, deadline=None, derandomize=bool(os.getenv("CI")))
settings.load_profile("house")

_SERVERS = Path(__file__).parent / "servers"

pytest.register_assert_rewrite("tests.servers")
pytest_plugins = [
    f"tests.servers.{module.stem}"
    for module in sorted(_SERVERS.glob("*.py"))
    if "@pytest.fixture" in module.read_text(encoding="utf-8")
]

Golden = Callable[[Path, str], None]


_LONGEST_FIRST = (
    "e2e/test_runbook_rehearsals.py",
    "e2e/kinds/test_browser.py",
    "contracts/test_probe.py",
    "e2e/test_backup_faults.py",
    "e2e/test_backup_document.py",
    "faults/test_store.py",
    "e2e/test_restore_moments.py",
    "unit/runbook/test_resume.py",
    "e2e/test_backup.py",
    "unit/backup/test_doctor_s3.py",
    "e2e/test_page.py",
    "unit/backup/test_log_service.py",
    "unit/backup/test_lease_process.py",
    "e2e/test_loadtest_cluster.py",
    "faults/test_machine.py",
    "unit/backup/test_pages_postgres.py",
    "e2e/test_backup_regions.py",
    "unit/backup/test_pgbackrest.py",
    "e2e/test_dashboards.py",
    "e2e/test_demo_shop.py",
    "e2e/test_every_kind.py",
)
"""Files of half a minute and more: a worker that began one last would work on while all others
are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take whole files in this order."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = Path(__file__).parent
        rank = {folder / name: number for number, name in enumerate(_LONGEST_FIRST)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the code says now into the golden files; review them in the diff",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(path, text)` compares `text` with a file beside the test, or rewrites the file."""
    folder = request.path.parent

    def compare(path: Path, text: str) -> None:
        expected = folder / path
        if request.config.getoption("--update-golden"):
            expected.parent.mkdir(parents=True, exist_ok=True)
            expected.write_text(text, encoding="utf-8")
        assert expected.exists(), f"{expected} is missing; run pytest --update-golden"
        assert text == expected.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def _secrets_of_its_own() -> Iterator[None]:
    """A secret that one test reveals is not masked in the words of the next."""
    values = set(redactor._values)
    yield
    redactor._values, redactor._ordered = values, (-1, ())
    redactor._made = (frozenset(), frozenset())


def _must_not_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skip is a failure: nothing may silently stop running."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI must run everything: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _must_not_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _must_not_skip(report)
    return report
