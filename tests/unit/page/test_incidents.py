"""Is trouble of the past told as people would tell it: together, with its end, and not for ever?"""

from __future__ import annotations

from sre.core.facts import Fact
from sre.page.build import Moment, build
from sre.page.history import History, plain, room_for
from sre.page.incidents import Episode, incidents_of, told
from sre.page.model import Incident, Maintenance
from sre.page.render_html import render_html
from tests.unit.page.made import NOON, check, declared, failed, played, run

DAY = 86400.0


def test_probes_that_fail_together_are_one_incident() -> None:
    seen = [
        Episode("checkout", NOON, NOON + 600, "payment: status"),
        Episode("browse", NOON + 60, NOON + 900, "home: timeout"),
        Episode("home", NOON + 2000, None, "timeout"),
    ]
    assert incidents_of(seen, (), NOON + 3000) == (
        Incident(("home",), NOON + 2000, None, "timeout"),
        Incident(("checkout", "browse"), NOON, NOON + 900, "payment: status"),
    )


def test_one_that_began_after_the_first_was_over_is_another() -> None:
    seen = [Episode("a", NOON, NOON + 30), Episode("b", NOON + 60, NOON + 90)]
    assert len(incidents_of(seen, (), NOON + 100)) == 2


def test_what_goes_on_together_goes_on() -> None:
    seen = [Episode("a", NOON, None), Episode("b", NOON + 60, NOON + 90)]
    assert incidents_of(seen, (), NOON + 100) == (Incident(("a", "b"), NOON, None),)


def test_after_a_month_it_is_forgotten_unless_it_goes_on() -> None:
    seen = [Episode("old", NOON - 40 * DAY, NOON - 39 * DAY), Episode("dead", NOON - 40 * DAY)]
    assert [one.names for one in incidents_of(seen, (), NOON)] == [("dead",)]


def test_incidents_that_people_opened_are_told_as_facts() -> None:
    facts = [
        Fact("incident/7", {"title": "a\nb", "opened": NOON - 60, "severity": "major"}, NOON),
        Fact("incident/8", {"title": "no time"}, NOON),
        Fact("incident/9", {"title": 5, "opened": True}, NOON),
        Fact("backup/orders", {"opened": 5.0}, NOON),
    ]
    assert list(told(facts)) == [Incident(("a b",), NOON - 60, None, "major", told=True)]


def test_an_episode_opens_closes_and_survives_a_restart() -> None:
    history = played((NOON, run()), (NOON + 60, failed()), (NOON + 120, failed()))
    assert history.episodes == [Episode("checkout", NOON + 60, None, "payment: status")]
    again = History.from_data(history.as_data())
    assert again.episodes == history.episodes
    again.add(run(), NOON + 180)
    assert again.episodes == [Episode("checkout", NOON + 60, NOON + 180, "payment: status")]
    again.add(failed(), NOON + 240)
    again.forget((), (), NOON + 300)
    assert [one.ended for one in again.episodes] == [NOON + 180, NOON + 300]


def test_a_history_without_episodes_is_read() -> None:
    data = played((NOON, failed())).as_data()
    del data["episodes"]
    assert History.from_data(data).episodes == []


def test_maintenance_is_announced_and_said_beside_a_failure() -> None:
    plan = Maintenance("upgrade", NOON - 60, NOON + 600, ("checkout",))
    things = declared(check(), plans=lambda now: (plan,))
    page = build(things, Moment(NOON + 60, played((NOON, failed()))))
    assert page.sentence.endswith("(payment: status), in maintenance")
    assert page.components[0].maintenance == "upgrade"
    text = render_html(page)
    assert "in maintenance: upgrade" in text
    assert ">Maintenance</h2>" in text


def test_thousands_of_probes_are_a_page_and_not_a_book() -> None:
    checks = [check(f"p{index:05}", journey=False) for index in range(10_000)]
    history = History()
    history.fit(len(checks), ())
    for one in checks[:5000]:
        history.add(run(one.name, journey=False), NOON)
    history.add(failed("p00007"), NOON + 60)
    page = build(declared(*checks[:5000]), Moment(NOON + 60, history))
    assert page.components[0].name == "p00007"
    assert sum(not one.brief for one in page.components) == 60
    text = render_html(page)
    assert "4,940 more work" in text
    assert "and 4,440 more" in text
    assert len(text) < 400_000


def test_room_is_shared_but_never_less_than_the_page_shows() -> None:
    assert room_for(200) == room_for(1)
    minutes, hours = room_for(10_000)
    assert minutes >= 60
    assert hours >= 24
    history = History()
    history.fit(10_000, (plain("kept"),))
    history.add(run("kept", journey=False), NOON)
    history.add(run("other", journey=False), NOON)
    kept, other = history.track(plain("kept")), history.track(plain("other"))
    assert kept.room == room_for(1)
    assert other.room == room_for(10_000)
