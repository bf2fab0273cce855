"""Is a set that is declared or wired wrongly told from a healthy one?"""

from __future__ import annotations

from sre.failover.clusters.pg.decide_mend import decide_rejoin
from sre.failover.clusters.pg.decide_switchover import decide_switchover
from sre.failover.clusters.pg.seen import Machine
from sre.failover.engine import Wish
from tests.unit.failover.pg.test_decide import HEALTHY, ONE, RULES, blocked, heard, said, standby


def test_one_server_under_two_names_is_no_second_node() -> None:
    """A dsn that leads through the switch, or to another node, would count for two."""
    through = {**HEALTHY, "a": said(recovering=False, process=ONE)}
    through["c"] = said(recovering=False, process=ONE.replace("127.0.0.1", "ready"))
    seen = heard(through)
    assert any(each.startswith("same-server: ") for each in seen.problems)
    found = decide_switchover(Wish("switchover"), seen, RULES)
    assert blocked(found) == {"same-server"}  # and nobody is told to fence one of them
    later = {**HEALTHY, "b": standby(process=ONE), "c": standby(process=ONE.replace("17", "18"))}
    assert not heard(later).problems


def test_a_late_standby_is_not_taken_by_itself() -> None:
    late = {**HEALTHY, "b": standby(settings={"recovery_min_apply_delay": "1h"})}
    found = decide_switchover(Wish("switchover"), heard(late), RULES)
    assert (found.new, found.allowed) == ("c", True)


def test_a_control_that_would_not_work_is_a_problem_while_all_is_well() -> None:
    odd = {"b": Machine(missing=("there is no folder /srv/pg/b",))}
    assert heard(HEALTHY, machines=odd).problems == ("control b: there is no folder /srv/pg/b",)


def test_a_standby_whose_connection_died_unseen_does_not_stream() -> None:
    """As one that was frozen while its primary changed; one under another name is left alone."""
    left = {**HEALTHY, "a": said(recovering=False, senders=["c"])}
    seen = heard(left)
    assert seen.node("b").problems == ("not-streaming: a knows nothing of it",)
    assert not seen.node("c").problems
    again = decide_rejoin(Wish("rejoin"), seen, RULES)
    assert (again.new, again.facts["streams"]) == ("b", False)
    named = {**HEALTHY, "a": said(recovering=False, senders=["c", "walreceiver"])}
    assert heard(named).node("b").state == "streaming"


def test_one_that_follows_another_standby_is_brought_to_the_primary_without_a_stop() -> None:
    at = {"b": ("10.0.0.2", "5432"), "a": ("10.0.0.1", "5432")}
    way = {"status": "streaming", "host": "10.0.0.2", "port": 5432, "timeline": 1, "slot": None,
           "silent": 0.0}  # fmt: skip
    sender = {"name": "c", "state": "streaming", "sync": "async"}
    behind = {"a": said(recovering=False, senders=["b"]), "b": {**standby(), "senders": [sender]}}
    seen = heard({**behind, "c": standby(receiver=way)}, addresses=at)
    assert seen.node("c").state == "streaming"
    assert [each.split(":")[0] for each in seen.node("c").problems] == ["not-counted"]
    found = decide_rejoin(Wish("rejoin"), seen, RULES)
    assert (found.new, found.facts["streams"], found.facts["known"]) == ("c", True, False)
