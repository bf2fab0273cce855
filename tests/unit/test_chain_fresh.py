"""Does each rule about age say how old, what the limit is, and which command mends it?

Facts are published by the code that publishes them; stores are in memory; time stands still.
"""

# ruff: noqa: E501  the lines are what a user sees
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sre.backup.attest import attest
from sre.backup.doctor.known import fact_name, place_of_store
from sre.backup.facts import publish_attempt, publish_verification
from sre.backup.job import Job
from sre.backup.keys import new_keys, sign
from sre.backup.layout import Place
from sre.backup.log.facts import LogState, publish_log
from sre.backup.manifest import Manifest, Volume
from sre.backup.model import Backups, Declared, Keys
from sre.backup.objects import ObjectInfo
from sre.backup.records import Fault, Verification
from sre.backup.storage.memory import MemoryStorage
from sre.chain.gather import fresh, gather
from sre.chain.model import Finding, World
from sre.chain.rules import RULES
from sre.cli.slo import promises_of
from sre.core.clock import FakeClock
from sre.core.errors import Transient, UsageError
from sre.core.secrets import Secret
from sre.runbook.publish import publish
from sre.runbook.store import Request, digest_of
from sre.settings import load_settings
from tests.unit.test_chain import RUNBOOK, WHOLE

NOW = 1_795_000_000.0
HOUR, DAY = 3600.0, 86400.0
ID = "20261118T000000Z-full-0123456{}"
REHEARSE = "sre runbook run mend --rehearse --var TARGET=demo"


class DeadStorage(MemoryStorage):
    """A store that does not answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        raise self.error


@dataclass
class Scene:
    """The whole chain of test_chain, with what has happened to it."""

    job: Job
    world: World

    @property
    def declared(self) -> Declared:
        return self.job.backups.databases["orders"]

    @property
    def clock(self) -> FakeClock:
        assert isinstance(self.job.clock, FakeClock)
        return self.job.clock

    def manifest(self, age: float, number: int = 0) -> Manifest:
        place = Place("orders", "7000000000000000001-16", ID.format(number))
        volume = Volume(place.volume(0), 1, "", 1, "")
        at = NOW - age
        return Manifest(
            place.id, "orders", "postgres", "16.4", place.system, "full", None, "gold", at - 60, at,
            at - 30, 1, 1, place.key, 1, "", (), (volume,), {}, (), "sre",
        )  # fmt: skip

    def back_up(self, age: float, code: int = 0) -> None:
        """As `sre backup run` leaves it: in the store, and remembered here."""
        storage = self.job.storages["main"]
        if not code and isinstance(storage, MemoryStorage):
            storage.objects.clear()
            self.store(age)
        at = self.clock.wall()
        self.clock.advance(NOW - age - at)
        publish_attempt(self.job, self.declared, at, None if code else self.manifest(age), code)
        self.clock.advance(NOW - self.clock.wall())

    def verify(self, age: float, level: int = 3, *, good: bool = True) -> None:
        """As `sre backup verify` remembers it here."""
        publish_verification(self.job, self.declared, self.verification(age, level, good=good))

    def verification(
        self, age: float, level: int = 3, *, good: bool = True, number: int = 0
    ) -> Verification:
        faults = () if good else (Fault("v000000.zst.age", "damaged"),)
        return Verification(ID.format(number), "orders", level, NOW - age, faults=faults)

    def store(self, age: float, number: int = 0, verified: float | None = None) -> Manifest:
        """As another host wrote it into the store."""
        manifest, keys = self.manifest(age, number), self.job.backups.keys
        storage = self.job.storages["main"]
        assert keys.signing is not None
        data = manifest.encode()
        storage.put(manifest.where.signature, sign(data, keys.signing))
        storage.put(manifest.where.manifest, data)
        if verified is not None:
            attest(storage, keys, self.verification(verified, number=number))
        return manifest

    def rehearse(
        self, age: float, result: str = "passed", *, text: str = RUNBOOK, real: bool = False
    ) -> None:
        """As `sre runbook run` remembers it here."""
        request = Request(
            f"run-{age}",
            "mend",
            "mend.md",
            digest_of(text),
            "demo",
            NOW - age,
            not real,
            False,
            {},
            "",
        )
        publish(self.job.facts, request, result, 12.0, NOW - age)

    def found(self) -> list[str]:
        return [str(each) for each in self.findings()]

    def findings(self) -> tuple[Finding, ...]:
        return fresh(self.world, self.job)[0]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return make(tmp_path, monkeypatch)


def make(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tier: str = "", runbook: str = RUNBOOK
) -> Scene:
    monkeypatch.chdir(folder)
    (folder / "runbooks").mkdir()
    (folder / "runbooks/mend.md").write_text(runbook)
    text = WHOLE
    if tier:
        start, end = text.index("  gold: "), text.index("keys:")
        text = f"{text[:start]}  gold: {tier}\n{text[end:]}"
    (folder / "sre.yaml").write_text(text)
    settings = load_settings("sre.yaml")
    made = new_keys(folder / "keys")
    keys = Keys((made.recipient,), Secret.from_file(folder / "keys/signing"), (made.trusted,))
    backups = Backups(settings.stores, settings.tiers, keys, settings.databases)
    job = Job(backups, folder / "state", FakeClock(NOW), {"main": MemoryStorage()})
    scene = Scene(job, gather(settings, promises_of(settings)))
    examined(scene)
    return scene


def proven(scene: Scene) -> Scene:
    """Everything fresh."""
    scene.back_up(HOUR)
    scene.verify(HOUR)
    scene.rehearse(DAY)
    return scene


def examined(scene: Scene, age: float = HOUR, **changes: Any) -> None:
    """As `sre backup doctor` remembers it here."""
    name, clock = "main", scene.clock
    where = place_of_store(scene.world.settings.stores[name])
    fact = {"where": where, "at": NOW - age, "exit_code": 0, "failed": [], "degraded": [],
            "works": {}, **changes}  # fmt: skip
    scene.job.facts.publish(fact_name(name), fact)
    assert clock.wall() == NOW


AGAIN = "sre backup doctor main"


def test_a_store_that_nobody_tried(scene: Scene) -> None:
    proven(scene)
    examined(scene, where="elsewhere")
    assert [each.split(" stores.main: ")[1] for each in scene.found()] == [
        f"nobody has tried what the store 'main' really does; {AGAIN}"
    ]


def test_a_store_that_was_tried_long_ago_or_found_bad(scene: Scene) -> None:
    proven(scene)
    examined(scene, 3 * DAY, degraded=["create-race", "renew"])
    assert [each.split(" stores.main: ")[1] for each in scene.found()] == [
        f"the store 'main' lacks: create-race, renew; {AGAIN} says what is switched off",
        f"the store 'main' was last examined 3d ago, wanted is daily; {AGAIN}",
    ]
    assert {each.severity for each in scene.findings()} == {"warning"}
    examined(scene, failed=["list-pages"])
    assert [(each.rule, each.severity) for each in scene.findings()] == [("store-unsafe", "error")]


def test_a_fresh_chain_has_nothing_to_say(scene: Scene) -> None:
    assert proven(scene).found() == []


def test_nothing_has_ever_happened(scene: Scene) -> None:
    assert scene.found() == [
        f"runbooks/mend.md:9:1 max_age: mend: it was never rehearsed; {REHEARSE}",
        "sre.yaml:22:3 databases.orders: there is no committed backup of 'orders'; sre backup run orders",
    ]


def test_an_old_backup(scene: Scene) -> None:
    proven(scene).back_up(2 * DAY + 4 * HOUR)
    assert scene.found() == [
        "sre.yaml:22:3 databases.orders: the newest backup restores to 2d 4h ago, rpo is 1d (tier gold); "
        "sre backup run orders",
        "sre.yaml:22:3 databases.orders: the newest backup is 2d 4h old, wanted is one each 1d "
        "(full: daily of tier gold); sre backup run orders",
    ]


def test_with_an_archive_the_log_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = proven(make(tmp_path, monkeypatch, "{rpo: 60s, archive: true}"))
    assert scene.found() == [
        "warning: sre.yaml:22:3 databases.orders: the newest backup restores to 1h ago, rpo is 1m (tier "
        "gold), and no archiver on this machine says how far the log leads; sre backup plan orders"
    ]
    archived(scene, None)
    assert [each.severity for each in scene.findings()] == ["warning"]
    archived(scene, NOW - 30)
    assert scene.found() == []
    archived(scene, NOW - 300)
    assert scene.found() == [
        "sre.yaml:22:3 databases.orders: backups and log restore to 5m ago, rpo is 1m (tier gold); "
        "sre backup archive orders"
    ]


def archived(scene: Scene, upto: float | None) -> None:
    """As an archiver of this machine says it."""
    publish_log(scene.job, LogState("orders", "7000000000000000001-16", "following", last=upto))


def copied(scene: Scene, behind: float, ago: float = 0.0) -> None:
    """As a pass over the copies in `main` leaves it here, which is asked for from now on."""
    declared = replace(scene.declared, tier=replace(scene.declared.tier, copies=("main",)))
    settings = replace(scene.world.settings, databases={"orders": declared})
    scene.world = replace(scene.world, settings=settings)
    value = {"stores": {"main": {"at": NOW - ago, "lag_seconds": behind, "exit_code": 0}}}
    scene.job.facts.publish("backup/orders/copies", {"db": "orders", **value})


def test_a_copy_that_is_late(scene: Scene) -> None:
    proven(scene)
    copied(scene, 0.0, HOUR)
    assert scene.found() == []
    for behind, ago in ((1.2 * DAY, 0.0), (0.0, 1.2 * DAY)):
        copied(scene, behind, ago)
        assert scene.found() == [
            "sre.yaml:22:3 databases.orders: the copy in 'main' is 1d 4h behind, 1d may be lost (tier "
            "gold); sre backup copy orders --to main"
        ]


def test_a_rhythm_may_be_late_by_a_tenth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = proven(make(tmp_path, monkeypatch, "{full: daily, verify: {level: 3, every: 1d}}"))
    for age, rules in ((1.05 * DAY, []), (1.2 * DAY, ["backup-stale", "verify-stale"])):
        scene.back_up(age)
        scene.verify(age)
        assert [each.rule for each in scene.findings()] == rules


def test_a_run_that_failed_since(scene: Scene) -> None:
    proven(scene).back_up(600.0, code=4)
    assert scene.found() == [
        "warning: sre.yaml:22:3 databases.orders: the last run, 10m ago, ended with exit code 4; "
        "sre backup run orders"
    ]


def test_never_verified_deeply_enough(scene: Scene) -> None:
    scene.back_up(HOUR)
    scene.rehearse(DAY)
    scene.verify(HOUR, level=1)
    assert scene.found() == [
        "sre.yaml:22:3 databases.orders: no backup of 'orders' was ever verified at level 3; "
        "sre backup verify orders --level 3"
    ]


def test_verified_too_long_ago(scene: Scene) -> None:
    scene.back_up(HOUR)
    scene.rehearse(DAY)
    scene.verify(3 * DAY + 4 * HOUR)
    assert scene.found() == [
        "sre.yaml:22:3 databases.orders: the last verification at level 3 is 3d 4h old, verify.every is "
        "1d; sre backup verify orders --level 3"
    ]


def test_a_verification_that_failed(scene: Scene) -> None:
    proven(scene).verify(120.0, level=1, good=False)
    assert scene.found() == [
        f"sre.yaml:22:3 databases.orders: the last verification, 2m ago at level 1, failed: {ID.format(0)} "
        "does not count as a backup; sre backup run orders, then: sre backup verify orders --level 3"
    ]
    scene.verify(60.0)
    assert scene.found() == []


def test_levels_that_are_not_there_yet_ask_for_the_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = proven(make(tmp_path, monkeypatch, "{verify: {level: 4, every: 1d}}"))
    assert scene.found() == []


def test_the_store_knows_what_other_hosts_did(scene: Scene) -> None:
    scene.rehearse(DAY)
    scene.store(HOUR, verified=HOUR)
    assert scene.found() == []
    scene.store(30.0, number=1)  # younger, and not verified: the older proof is young enough
    assert scene.found() == []


def test_the_younger_of_store_and_machine_counts(scene: Scene) -> None:
    scene.back_up(5 * DAY)
    scene.verify(5 * DAY)
    scene.rehearse(DAY)
    scene.store(HOUR, number=1, verified=HOUR)
    assert scene.found() == []


def test_a_forged_manifest_is_no_backup(scene: Scene) -> None:
    scene.rehearse(DAY)
    scene.store(HOUR, verified=HOUR)
    newer = scene.store(60.0, number=1).where
    storage = scene.job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    storage.objects[newer.manifest] += b" "
    (found,) = scene.findings()
    assert (found.rule, found.severity, found.path) == (
        "backup-damaged",
        "error",
        "databases.orders",
    )
    assert found.message.startswith(f"{newer.manifest}: the manifest was changed, or is not signed")
    assert found.remedy.startswith("sre backup run orders takes another")


def test_what_is_gone_from_the_store_does_not_count(scene: Scene) -> None:
    proven(scene)
    storage = scene.job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    storage.objects.clear()
    assert [each.rule for each in scene.findings()] == ["backup-missing"]
    scene.store(HOUR, number=1)  # another backup is not the one that was verified
    assert [each.rule for each in scene.findings()] == ["verify-missing"]


def test_what_was_read_before_is_read_again(scene: Scene) -> None:
    proven(scene).findings()
    storage = scene.job.storages["main"]
    assert isinstance(storage, MemoryStorage)
    storage.objects[scene.manifest(HOUR).where.manifest] += b" "
    assert [each.rule for each in scene.findings()] == ["backup-damaged", "backup-missing"]


def test_a_silent_store_is_a_warning_where_this_machine_knows(scene: Scene) -> None:
    proven(scene)
    scene.job.storages["main"] = DeadStorage(Transient("the store does not answer; try later"))
    found, silent = fresh(scene.world, scene.job)
    assert [str(each) for each in found] == [
        "warning: sre.yaml:25:5 databases.orders.store: the store 'main' said nothing (the store does "
        "not answer): facts of this machine answer; try later, then: sre backup list orders"
    ]
    assert silent == ()


@pytest.mark.parametrize("error", [Transient("down"), UsageError("wrong credentials")])
def test_a_silent_store_and_nothing_else(scene: Scene, error: Any) -> None:
    scene.rehearse(DAY)
    scene.job.storages["main"] = DeadStorage(error)
    found, silent = fresh(scene.world, scene.job)
    assert [str(each) for each in found] == [
        f"sre.yaml:25:5 databases.orders.store: the store 'main' said nothing ({error}): nothing else "
        "can answer; mend it, then: sre backup list orders"
    ]
    assert silent == (error,)


def test_an_old_rehearsal(scene: Scene) -> None:
    proven(scene).rehearse(31 * DAY)
    assert scene.found() == [
        f"runbooks/mend.md:9:1 max_age: mend: its last rehearsal is 31d old, max_age is 30d; {REHEARSE}"
    ]


def test_a_rehearsal_that_failed_outweighs_an_older_one(scene: Scene) -> None:
    proven(scene).rehearse(HOUR, "rolled_back")
    assert scene.found() == [
        f"runbooks/mend.md:9:1 max_age: mend: its last rehearsal, 1h ago, ended: rolled_back; {REHEARSE}"
    ]
    scene.rehearse(60.0, real=True)  # followed in earnest, to its good end
    assert scene.found() == []


def test_a_runbook_that_was_edited_since(scene: Scene) -> None:
    proven(scene).rehearse(HOUR, text="another")
    assert scene.found() == [
        "warning: runbooks/mend.md:9:1 max_age: mend: it was edited since its last rehearsal, 1h ago; "
        f"{REHEARSE}"
    ]


def test_a_date_in_the_front_matter_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dated = RUNBOOK.replace("max_age: 30d", "max_age: 30d\nlast_rehearsed: '2026-11-17'")
    scene = make(tmp_path, monkeypatch, runbook=dated)
    scene.back_up(HOUR)
    scene.verify(HOUR)
    assert scene.found() == []
    scene.clock.advance(40 * DAY)
    assert [each.rule for each in scene.findings() if each.path == "max_age"] == ["runbook-stale"]


def test_only_linked_runbooks_are_asked_for(scene: Scene) -> None:
    proven(scene)
    spare = RUNBOOK.replace("id: mend", "id: spare").replace("default: orders", "default: other")
    Path("runbooks/spare.md").write_text(spare)
    world = gather(scene.world.settings, scene.world.promises)
    assert set(world.library.runbooks) == {"mend", "spare"}
    assert fresh(world, scene.job) == ((), ())


@pytest.mark.parametrize("name", ["backup/orders/run", "backup/orders/verified", "runbook.mend"])
@pytest.mark.parametrize("content", ["{", '{"name": "x", "at": 1, "value": {"last": 3}}'])
def test_a_damaged_fact_is_named_and_hides_nothing(scene: Scene, name: str, content: str) -> None:
    proven(scene).store(HOUR, verified=HOUR)
    (scene.job.state / "facts" / f"{name}.json").write_text(content)
    found = {each.rule: each for each in scene.findings()}
    assert found.keys() <= {"fact-damaged", "runbook-unrehearsed"}
    assert found["fact-damaged"].severity == "warning"
    assert name in found["fact-damaged"].message
    assert "run what publishes it again" in found["fact-damaged"].remedy


def test_looking_changes_no_fact(scene: Scene) -> None:
    proven(scene)
    facts = scene.job.state / "facts"
    before = {path: path.read_bytes() for path in facts.rglob("*.json")}
    scene.findings()
    assert {path: path.read_bytes() for path in facts.rglob("*.json")} == before


BREAKS: dict[str, Callable[[Scene], Any]] = {
    "backup-missing": lambda scene: scene.back_up(HOUR, code=1),
    "backup-rpo": lambda scene: scene.back_up(2 * DAY),
    "backup-stale": lambda scene: scene.back_up(2 * DAY),
    "copy-late": lambda scene: (proven(scene), copied(scene, 2 * DAY)),
    "backup-failed": lambda scene: scene.back_up(HOUR, code=1),
    "backup-damaged": lambda scene: scene.job.storages["main"].put(
        scene.manifest(1.0).where.manifest, b"{}"
    ),
    "verify-missing": lambda scene: scene.back_up(HOUR),
    "verify-stale": lambda scene: (scene.back_up(HOUR), scene.verify(2 * DAY)),
    "verify-failed": lambda scene: (scene.back_up(HOUR), scene.verify(HOUR, good=False)),
    "store-unreachable": lambda scene: scene.job.storages.update(
        main=DeadStorage(Transient("down"))
    ),
    "store-unexamined": lambda scene: examined(scene, where="elsewhere"),
    "store-examination-stale": lambda scene: examined(scene, 2 * DAY),
    "store-unsafe": lambda scene: examined(scene, failed=["put-get"]),
    "store-degraded": lambda scene: examined(scene, degraded=["renew"]),
    "runbook-unrehearsed": lambda scene: None,
    "runbook-stale": lambda scene: scene.rehearse(31 * DAY),
    "runbook-failed": lambda scene: scene.rehearse(DAY, "failed"),
    "runbook-changed": lambda scene: scene.rehearse(DAY, text="another"),
    "fact-damaged": lambda scene: scene.job.facts.publish("runbook.mend", {}),
}


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.part == "fresh"])
def test_every_rule_about_age_can_be_broken(scene: Scene, rule: str) -> None:
    BREAKS[rule](scene)
    found = scene.findings()
    assert rule in {each.rule for each in found}
    assert all(each.severity in RULES[each.rule].severities for each in found)
    assert all(each.remedy for each in found)
