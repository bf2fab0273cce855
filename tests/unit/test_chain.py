"""Does each rule about links find exactly what breaks it, at its place, with what mends it?

`WHOLE` breaks none. Each case changes one text of it, or of its runbook, and says what is found.
"""

# ruff: noqa: E501  the lines are what a user sees
from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from sre.chain.ages import moment, rhythm, span
from sre.chain.gather import gather, library_folder
from sre.chain.kept import FLAGS
from sre.chain.links import links
from sre.chain.model import Finding, World
from sre.chain.rules import RULES, table
from sre.cli.backup_restore import restore_command
from sre.cli.runbook import command_names
from sre.cli.slo import promises_of
from sre.settings import load_settings

ROOT = Path(__file__).parent.parent.parent

WHOLE = """\
version: 1
shop: {name: demo, base_url: "http://127.0.0.1:18080", environment: staging}
targets: {allow: ["127.0.0.1:18080"]}
links: {runbooks: "https://git.example.com/runbooks"}
journeys:
  buy:
    every: 30s
    steps: [{name: home, get: /}]
objectives:
  - {name: buy-works, journey: buy, target: 99%, owner: shop, severity: page, runbook: mend}
loadtests:
  release: {mix: {buy: 1/s}, stages: [{hold: 10s}], thresholds: ["buy.failed < 1%"]}
stores:
  main: {kind: local, path: /mnt/backups}
tiers:
  gold: {rpo: 24h, full: daily, verify: {level: 3, every: 1d}}
keys:
  recipients: [age1mw6e39vwvjcunsc350n9qhz3jm887jrwyzs84emfgfm6f37afyeq5are35]
  trusted: ["ed25519:aosqej6T3WeDL824nlLn6fPVKuvPYUPzNhqd4ALVq1Q="]
  signing: "${file:signing}"
databases:
  orders:
    kind: postgres
    dsn: "${env:ORDERS_DSN}"
    store: main
    tier: gold
    invariants: [{name: some, sql: "select 1", equals: 1}]
"""

RUNBOOK = """\
---
apiVersion: runbook/v1
id: mend
title: Mend it
severity: page
owner: shop
alerts: [buy-works]
target: TARGET
max_age: 30d
rehearsal: {targets: [demo]}
vars:
  TARGET: {type: name, default: shop}
  SOURCE: {type: name, default: orders}
  DIR: {type: path, default: /restored}
---
# Mend it

## Meaning
It is broken.

## Impact
Nobody buys.

## Preconditions
```bash check id=there timeout=5s
test -d /
```

## Steps
### 1. Restore
```bash run id=restore timeout=5m danger=reversible idempotent=yes
sre backup restore "$SOURCE" --to "$DIR"
```
```bash rollback id=restore timeout=5m idempotent=yes
mv "$DIR" "$DIR.rejected"
```
```bash check id=restored timeout=5s
test -f "$DIR/PG_VERSION"
```

## Verify
```bash check id=good timeout=5s
test -d "$DIR"
```

## Escalate
Call the [list](../duty.md).
"""

ORDERS = ("    every: 30s\n", "    every: 30s\n    side_effects: order\n    budget: 200/h\n")
OBJECTIVE = (
    "objectives:\n  - {name: buy-works, journey: buy, target: 99%, owner: shop, severity: page, "
    "runbook: mend}\n"
)
TEST = (
    'loadtests:\n  release: {mix: {buy: 1/s}, stages: [{hold: 10s}], thresholds: ["buy.failed < 1%"]}'
    "\n"
)
DANGLING = (
    "warning: runbooks/mend.md:7:1 alerts: 'buy-works' is neither an objective nor an alert of one; "
    "remove it from alerts, or declare the objective"
)


@dataclass(frozen=True)
class Case:
    """`edits` to the declaration, `book` to the runbook; `found` are the lines."""

    rule: str
    edits: tuple[tuple[str, str], ...] = ()
    book: tuple[tuple[str, str], ...] = ()
    found: tuple[str, ...] = ()
    name: str = field(default="", kw_only=True)


CASES = [
    Case(
        "targets-base-url", (("allow: [\"127.0.0.1:18080\"]", 'allow: ["shop.example.com:443"]'),),
        found=("sre.yaml:3:11 targets.allow: shop.base_url is http://127.0.0.1:18080, and no entry "
               "admits it: every request would be blocked; add '127.0.0.1:18080' to targets.allow",),
    ),
    Case(
        "targets-base-url", (("127.0.0.1:18080\"]", '[::1]:80"]'), ("//127.0.0.1:18080", "//[::1]:81")),
        found=("sre.yaml:3:11 targets.allow: shop.base_url is http://[::1]:81, and no entry "
               "admits it: every request would be blocked; add '[::1]:81' to targets.allow",),
        name="IPv6",
    ),
    Case(
        "journey-probe", (("    every: 30s\n", "    every: null\n"), (OBJECTIVE, "")),
        found=("warning: sre.yaml:6:3 journeys.buy: load tests drive 'buy', and no probe does: nobody "
               "sees it fail in between; add to journeys.buy: 'every: 60s'", DANGLING),
    ),
    Case(
        "journey-probe", (("    every: 30s\n", "    every: null\n"), (OBJECTIVE, ""), (TEST, "")),
        found=("warning: sre.yaml:6:3 journeys.buy: nothing runs 'buy', neither a probe nor a load "
               "test; add to journeys.buy: 'every: 60s', or remove it", DANGLING),
        name="unused",
    ),
    Case(
        "journey-objective", ((OBJECTIVE, ""),),
        found=("warning: sre.yaml:6:3 journeys.buy: 'buy' is probed, and no objective is about it: "
               "nobody is told when it fails; add to objectives: {name: buy-available, journey: buy, "
               "target: 99%, owner: TEAM, severity: ticket, runbook: ID}", DANGLING),
    ),
    Case(
        "journey-objective", ((OBJECTIVE, ""), ORDERS),
        found=("sre.yaml:6:3 journeys.buy: 'buy' is probed and places orders, and no objective is "
               "about it: nobody is told when it fails; add to objectives: {name: buy-available, "
               "journey: buy, target: 99%, owner: TEAM, severity: ticket, runbook: ID}", DANGLING),
        name="orders",
    ),
    Case(
        "journey-loadtest", ((TEST, ""),),
        found=("warning: sre.yaml:6:3 journeys.buy: 'buy' is probed, and no load test drives it: "
               "nobody knows what it bears; add to loadtests: 'release: {mix: {buy: 1/s}, stages: "
               "[{hold: 1m}], thresholds: [\"buy.failed < 1%\"]}'",),
    ),
    Case(
        "journey-loadtest",
        (ORDERS, ("journeys:\n", "journeys:\n  look:\n    every: 30s\n    steps: [{name: a, get: /}]\n"),
         ("{buy: 1/s}", "{look: 1/s}"), ("buy.failed", "look.failed"),
         (OBJECTIVE, OBJECTIVE + OBJECTIVE.partition("\n")[2].replace("buy", "look"))),
        found=("sre.yaml:9:3 journeys.buy: 'buy' is probed and places orders, and no load test "
               "drives it: nobody knows what it bears; add to loadtests.release.mix: 'buy: 1/s'",),
        name="orders",
    ),
    Case(
        "objective-unwatched", (("    every: 30s\n", "    every: null\n"),),
        found=("sre.yaml:10:5 objectives[0]: buy-works: no probe runs 'buy', so it has no events; "
               "give the journey an 'every', or declare a probe of kind journey",
               "warning: sre.yaml:6:3 journeys.buy: load tests drive 'buy', and no probe does: nobody "
               "sees it fail in between; add to journeys.buy: 'every: 60s'"),
    ),
    Case(
        "objective-low-volume", (("every: 30s", "every: 60s"), ("target: 99%", "target: 99.9%")),
        found=("sre.yaml:10:5 objectives[0]: buy-works: the 1h page alert sees 60 runs: one failed "
               "run alone fires it (14.4 x 0.1% of them is 0.864, at least 2 are wanted); run it each "
               "25s or more often, or promise 99.76% or less",),
    ),
    Case(
        "objective-interval", (("every: 30s", "every: 3m"), ("target: 99%", "target: 95%")),
        found=("warning: sre.yaml:10:5 objectives[0]: buy-works: a run each 180 s stretches the short "
               "window of the 1h page alert from 5m to 8m: it clears late; run it each 120 s or more "
               "often",),
    ),
    Case(
        "objective-cannot-fire", (("target: 99%", "target: 90%"),),
        found=("warning: sre.yaml:10:5 objectives[0]: buy-works: the 1h page alert never fires: even "
               "when everything fails the budget burns 10 times, not 14.4; promise more than 93.05%, "
               "or rely on the slower alerts",),
    ),
    Case(
        "objective-runbook", ((", runbook: mend", ""),),
        found=("sre.yaml:10:5 objectives[0]: buy-works: its alerts (page) link to no runbook: nobody "
               "is told what to do; write one and name it with 'runbook: ID'",),
    ),
    Case(
        "objective-runbook", (("severity: page, runbook: mend", "severity: ticket"),),
        found=("warning: sre.yaml:10:5 objectives[0]: buy-works: its alerts (ticket) link to no "
               "runbook: nobody is told what to do; write one and name it with 'runbook: ID'",),
        name="ticket",
    ),
    Case(
        "objective-links", (('links: {runbooks: "https://git.example.com/runbooks"}\n', "links: {}\n"),),
        found=("warning: sre.yaml:10:5 objectives[0]: buy-works: its alerts carry the runbook's name "
               "but no address; set links.runbooks to the folder's address",),
    ),
    Case(
        "runbook-missing", (("runbook: mend", "runbook: other"),),
        found=("sre.yaml:10:79 objectives[0].runbook: there is no runbook 'other' in runbooks; there "
               "are: mend; write runbooks/other.md, with 'id: other' in its front matter, then: "
               "sre runbook lint runbooks/other.md",),
    ),
    Case(
        "runbook-missing", (("runbook: mend", "runbook: mends"),),
        found=("sre.yaml:10:79 objectives[0].runbook: there is no runbook 'mends' in runbooks; there "
               "are: mend; did you mean 'mend'? Otherwise write runbooks/mends.md, then: "
               "sre runbook lint runbooks/mends.md",),
        name="near",
    ),
    Case(
        "runbook-lint", book=(("## Escalate\nCall the [list](../duty.md).\n", ""),),
        found=("runbooks/mend.md:1:1: the section '## Escalate' is missing; add it, then: "
               "sre runbook lint runbooks/mend.md",),
    ),
    Case(
        "runbook-link", book=(("../duty.md", "../nobody.md"),),
        found=("runbooks/mend.md:47:1: ../nobody.md leads nowhere; mend or remove it, then: "
               "sre runbook lint runbooks/mend.md",),
    ),
    Case(
        "runbook-alert", book=(("alerts: [buy-works]", "alerts: [buy-works, buy-work, Gone]"),),
        found=("warning: runbooks/mend.md:7:1 alerts: 'Gone' is neither an objective nor an alert of "
               "one; remove it from alerts, or declare the objective",
               "warning: runbooks/mend.md:7:1 alerts: 'buy-work' is neither an objective nor an alert "
               "of one; did you mean 'buy-works'? Otherwise remove it from alerts, or declare the "
               "objective"),
    ),
    Case(
        "loadtest-threshold", ((', thresholds: ["buy.failed < 1%"]', ""),),
        found=("warning: sre.yaml:12:3 loadtests.release: no threshold judges 'buy': the test passes "
               "whatever becomes of it; add to loadtests.release.thresholds: \"buy.failed < 1%\"",),
    ),
    Case(
        "store-unused", (("stores:\n", "stores:\n  spare: {kind: local, path: /mnt/spare}\n"),),
        found=("warning: sre.yaml:14:3 stores.spare: nothing is kept in the store 'spare'; write "
               "'store: spare' in a database, name it in a tier's copies, or remove it",),
    ),
    Case(
        "database-tier", (("    tier: gold\n", ""),),
        found=("sre.yaml:22:3 databases.orders: 'orders' has no tier: nobody said how much of it may "
               "be lost; add to databases.orders: 'tier: gold'",),
    ),
    Case(
        "database-invariants", (('    invariants: [{name: some, sql: "select 1", equals: 1}]\n', ""),),
        found=("warning: sre.yaml:22:3 databases.orders: 'orders' has no invariants: a restore that "
               "starts would count as good, even empty; add to databases.orders: 'invariants: "
               "[{name: …, sql: …, equals: 0}]'",),
    ),
    Case(
        "database-keys", (('  signing: "${file:signing}"\n', ""),),
        found=("sre.yaml:17:1 keys.signing: keys.signing is missing: no backup can be signed; "
               "sre backup keys new --out keys makes them and prints the lines for sre.yaml",),
    ),
    Case(
        "database-runbook", book=(("default: orders", "default: books"),),
        found=("sre.yaml:22:3 databases.orders: no runbook restores 'orders'; write "
               "runbooks/restore-orders.md with a step that runs: sre backup restore orders --to DIR",),
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERS_DSN", raising=False)
    (tmp_path / ".git").mkdir()
    (tmp_path / "duty.md").write_text("# Who is on duty\n")
    return tmp_path


def edited(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def world_of(declaration: str = WHOLE, runbook: str | None = RUNBOOK) -> World:
    Path("sre.yaml").write_text(declaration)
    if runbook is not None:
        Path("runbooks").mkdir(exist_ok=True)
        Path("runbooks/mend.md").write_text(runbook)
    settings = load_settings("sre.yaml")
    return gather(settings, promises_of(settings), command_names())


def found_in(declaration: str = WHOLE, runbook: str | None = RUNBOOK) -> list[Finding]:
    return list(links(world_of(declaration, runbook)))


def test_a_whole_chain_has_nothing_to_say() -> None:
    assert found_in() == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.name}".strip())
def test_each_rule_names_what_breaks_it(case: Case) -> None:
    found = found_in(edited(WHOLE, case.edits), edited(RUNBOOK, case.book))
    assert sorted(map(str, found)) == sorted(case.found)
    assert any(each.rule == case.rule for each in found)


def test_every_rule_about_links_has_a_case() -> None:
    assert {case.rule for case in CASES} == {n for n, r in RULES.items() if r.part == "links"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.name}".strip())
def test_severities_are_those_of_the_table(case: Case) -> None:
    for each in found_in(edited(WHOLE, case.edits), edited(RUNBOOK, case.book)):
        assert each.severity in RULES[each.rule].severities
        assert each.remedy


def test_all_missing_keys_are_named_and_none_without_a_database() -> None:
    start, end = WHOLE.index("keys:"), WHOLE.index("databases:")
    bare = WHOLE[:start] + WHOLE[end:]
    keys = [each for each in found_in(bare) if each.rule == "database-keys"]
    assert [each.path for each in keys] == ["keys.recipients", "keys.signing", "keys.trusted"]
    assert [each.rule for each in found_in(bare[: bare.index("databases:")])] == ["store-unused"]


@pytest.mark.parametrize(
    ("line", "restored"),
    [
        ('sre backup restore "$SOURCE" --to "$DIR"', True),
        ("sre backup restore ${SOURCE} --to /x", True),
        ("sre backup restore --to /x orders", True),
        ("sre backup restore --no-progress orders --to /x", True),
        ("sre backup restore \\\n  orders \\\n  --to /x", True),
        ("echo before; sre backup restore orders --to /x && echo done", True),
        ("sre backup restore ${OTHER:-orders} --to /x", True),
        ("sre backup restore --latest --mask orders --to /x", True),
        ("sre backup restore books --to /x", False),
        ("sre backup restore orders --to /x --dry-run", False),
        ("# sre backup restore orders --to /x", False),
        ("echo 'sre backup restore orders --to /x'", False),
        ("sre backup restore --to orders books", False),
    ],
)
def test_which_lines_restore_a_database(line: str, restored: bool) -> None:
    found = found_in(WHOLE, RUNBOOK.replace('sre backup restore "$SOURCE" --to "$DIR"', line))
    assert ("database-runbook" not in {each.rule for each in found}) == restored


def test_the_options_without_a_value_are_those_of_the_command() -> None:
    bare = {"--help"}
    for each in restore_command.params:
        if isinstance(each, click.Option) and each.is_flag:
            bare |= {name for name in (*each.opts, *each.secondary_opts) if name.startswith("--")}
    assert bare == FLAGS


def test_an_objective_on_a_step_or_a_probe_of_the_journey_covers_it() -> None:
    for subject in ("step: buy/home", "probe: buy"):
        text = WHOLE.replace("journey: buy,", f"{subject},")
        if subject.startswith("probe"):
            text += "probes: [{name: buy, kind: journey, journey: buy, every: 30s}]\n"
        assert found_in(text) == []


def test_a_threshold_on_a_step_judges_its_journey() -> None:
    assert found_in(WHOLE.replace("buy.failed", "home.failed")) == []


def test_a_generated_alert_may_stand_in_alerts() -> None:
    for name in ("BuyWorksBudgetBurn", "BuyWorksNoData"):
        assert found_in(WHOLE, RUNBOOK.replace("alerts: [buy-works]", f"alerts: [{name}]")) == []


def test_a_runbook_that_the_package_has_is_copied(here: Path) -> None:
    (here / "runbooks").mkdir()
    text = WHOLE.replace("runbook: mend", "runbook: checkout-failing").replace("default: x", "")
    (found,) = (e for e in found_in(text) if e.rule == "runbook-missing")
    assert "cp " not in found.remedy  # ./runbooks is the default folder: nothing else is looked at
    (here / "shop").mkdir()
    (here / "runbooks/mend.md").rename(here / "shop/mend.md")
    (here / "runbooks").rename(here / "shop/runbooks")
    (here / "shop/mend.md").rename(here / "shop/runbooks/mend.md")
    (here / "shop/sre.yaml").write_text(text)
    settings = load_settings("shop/sre.yaml")
    found = next(
        e for e in links(gather(settings, promises_of(settings))) if e.rule == "runbook-missing"
    )
    source = ROOT / "runbooks/checkout-failing.md"
    assert found.remedy == (
        f"cp {source} shop/runbooks/checkout-failing.md, "
        "then: sre runbook lint shop/runbooks/checkout-failing.md"
    )


def test_two_runbooks_of_one_id_are_named(here: Path) -> None:
    world_of()
    (here / "runbooks/again.md").write_text(RUNBOOK)
    (found,) = found_in()
    assert str(found) == (
        "runbooks/mend.md:3:1: the id 'mend' is taken by runbooks/again.md; rename one, then: "
        "sre runbook lint runbooks/mend.md"
    )


def test_where_runbooks_are_looked_for(here: Path) -> None:
    below = here / "shop" / "eu"
    below.mkdir(parents=True)
    config = below / "sre.yaml"
    folder, own = library_folder(config)  # none anywhere: those of the package
    assert (folder, own) == (ROOT / "runbooks", False)
    (here / "runbooks").mkdir()
    assert library_folder(config) == (Path("runbooks"), True)
    (here / "shop/runbooks").mkdir()
    assert library_folder(config) == (Path("shop/runbooks"), True)
    (below / "runbooks").mkdir()
    assert library_folder(config) == (Path("shop/eu/runbooks"), True)


def test_the_root_of_a_repository_ends_the_search(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "runbooks").mkdir()
    inner = here / "inner"
    (inner / ".git").mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert library_folder(Path("sre.yaml")) == (ROOT / "runbooks", False)


def test_runbooks_of_the_package_may_answer_more_than_there_is() -> None:
    text = WHOLE.replace("runbook: mend", "runbook: checkout-failing")
    assert [str(each) for each in found_in(text, None)] == []
    (found,) = found_in(text.replace("checkout-failing", "other"), None)
    assert found.remedy == (
        "write runbooks/other.md, with 'id: other' in its front matter, then: "
        "sre runbook lint runbooks/other.md"
    )


def rows() -> Iterator[str]:
    lines = (ROOT / "docs/check.md").read_text().splitlines()
    start = lines.index(table().splitlines()[0])
    return itertools.takewhile(lambda line: line.startswith("|"), lines[start:])


def test_the_document_lists_the_rules() -> None:
    assert "\n".join(rows()) == table()


def test_spans_rhythms_and_moments() -> None:
    said = {0: "0s", 59.9: "59s", 60: "1m", 3661: "1h 1m", 86400: "1d", 90000: "1d 1h", 86460: "1d"}
    assert {seconds: span(seconds) for seconds in said} == said
    assert span(-5) == "0s"
    assert [rhythm(each) for each in ("daily", "6h", "0 3 * * *", None)] == [
        86400,
        21600,
        None,
        None,
    ]
    assert moment("2026-11-01") == 1793491200
    assert moment("2026-11-01T01:00:00+01:00") == 1793491200
    assert moment("soon") is None
    assert moment(None) is None
