"""Which set do the tests of switching under faults share?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.switch.stage import heal
from tests.servers.pgset import PgSet, running_set

QUICK = "fsync = off\nfull_page_writes = off\n"


@pytest.fixture(scope="module")
def one_set() -> Iterator[PgSet]:
    """Commits wait for one of the others; whole power cuts are no part of this: no fsync."""
    with running_set(slots=True, settings=QUICK) as found:
        yield found


@pytest.fixture
def pgset(one_set: PgSet) -> PgSet:
    """Whole, whoever is primary."""
    heal(one_set)
    one_set.declare()
    return one_set
