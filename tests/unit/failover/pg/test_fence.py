"""Is only what belongs to the set killed, and is what was closed before left closed?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sre.core.clock import Deadline
from sre.core.errors import Refused
from sre.failover.clusters.common.traffic import Switches
from sre.failover.clusters.pg.decide_mend import decide_fence
from sre.failover.clusters.pg.hands import Hands
from sre.failover.clusters.pg.steps_failover import Fence
from sre.failover.engine import Placed, Wish
from sre.failover.nodes import Service
from tests.unit.failover.pg.test_decide import HEALTHY, RULES, heard

NODE = Placed("b", "b", Service("postgres", "/srv/pg/b"), cast("Any", None))


def fence(opened: list[str], **facts: object) -> Fence:
    hands = SimpleNamespace(pg_control=lambda *_args: SimpleNamespace(system="2"))
    switches = SimpleNamespace(open=lambda name, _deadline: opened.append(name))
    return Fence(cast("Hands", hands), cast("Switches", switches), NODE, facts)


def test_another_database_in_its_folder_is_not_killed() -> None:
    with pytest.raises(Refused, match=r"another database .*mend its data_dir"):
        fence([], system="1").act({}, Deadline.after(1))  # its control, None, is not asked


@pytest.mark.parametrize(("name", "opened"), [("a", ["a"]), ("b", [])])
def test_taken_back_it_is_as_open_as_it_was(name: str, opened: list[str]) -> None:
    """A standby is closed before it is fenced; work must not go to it because that failed."""
    found = decide_fence(Wish("fence", node=name), heard(HEALTHY), RULES)
    assert found.facts["open"] is bool(opened)
    seen: list[str] = []
    fence(seen, **found.facts).undo({}, Deadline.after(1))
    assert len(seen) == len(opened)
