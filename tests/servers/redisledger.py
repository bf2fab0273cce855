"""How does a test write numbered rows to a Redis set, and read them back?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sre.core.clock import Deadline
from sre.sql.ledger.engines import open_engine
from sre.sql.ledger.model import Outcome, Plan, Report
from sre.sql.ledger.reading import verify
from sre.sql.ledger.writing import Writers
from tests.servers.net import wait_until

__all__ = ["acknowledged", "judged", "more", "writing"]


@contextlib.contextmanager
def writing(dsn: str, folder: Path, **plan: Any) -> Iterator[Writers]:
    """Eight writers, 200 rows a second, from the first acknowledgement on."""
    made = Plan(**{"writers": 8, "rate": 200.0, "deadline": 8.0, **plan})
    with Writers(open_engine(dsn, table="sre_ledger", wait=made.wait), folder, made) as writers:
        wait_until(lambda: acknowledged(writers) > 50, 20, "writes")
        yield writers


def acknowledged(writers: Writers) -> int:
    return writers.counts()[Outcome.ACKNOWLEDGED]


def more(writers: Writers, count: int = 60, seconds: float = 20) -> None:
    """Wait until so many more were acknowledged."""
    before = acknowledged(writers)
    wait_until(lambda: acknowledged(writers) > before + count, seconds, "writes again")


def judged(dsn: str, folder: Path, seconds: float = 20) -> Report:
    """Read back; a verdict is there."""
    found = verify(folder, open_engine(dsn, table="sre_ledger"), Deadline.after(seconds))
    assert found.verdict is not None, found.unread
    return found
