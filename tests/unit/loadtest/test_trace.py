"""Are the traces that a report names few, the slowest, and the same however work was divided?"""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from sre.loadtest.trace import KEPT, Exemplar, Exemplars, trace_of


def test_a_trace_is_a_valid_w3c_id_and_belongs_to_one_customer_of_one_run() -> None:
    names = [("a", "home", 1), ("b", "home", 1), ("a", "cart", 1), ("a", "home", 2)]
    found = {trace_of(*name) for name in names}
    assert len(found) == 4
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) and int(each, 16) for each in found)
    assert trace_of("a", "home", 1) == trace_of("a", "home", 1)


times = st.lists(st.floats(0, 60), max_size=60)


@given(times, times, st.integers(1, 4))
def test_the_slowest_few_of_each_kind_are_kept_over_all_workers(
    good: list[float], bad: list[float], workers: int
) -> None:
    shares = [Exemplars() for _ in range(workers)]
    for kind, values in (("", good), ("timeout", bad)):
        for number, value in enumerate(values):
            own = shares[number % workers]
            if own.wants("home", "front", value, failed=bool(kind)):
                own.keep("home", "front", Exemplar(value, 0.0, f"{kind}{number}", kind))
    whole = Exemplars()
    for each in shares:
        whole.merge(Exemplars(json.loads(json.dumps(each.to_plain()))))
    for failed, values in ((False, good), (True, bad)):
        kept = whole.of("home", ["front"], failed=failed)
        assert [one.response for one in kept] == sorted(values, reverse=True)[:KEPT]
