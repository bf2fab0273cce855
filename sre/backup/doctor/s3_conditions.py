"""Does a bucket keep conditions, also when several writers come at once?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds, unknown
from sre.backup.doctor.s3_parts import brief_upload
from sre.backup.doctor.scene import Scene, refusal
from sre.core.errors import SreError

__all__ = ["CONDITIONS"]

_TAKEN = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_WRITERS, _ROUNDS = 8, 4
_RENEWERS, _RENEWALS = 4, 2  # some servers are slow at it
_OTHER = '"ffffffffffffffffffffffffffffffff"'


def _condition(code: str | None, done: str) -> Outcome | None:
    """None when the condition was kept."""
    if code is None:
        return broken(done)
    return None if code in _TAKEN else absent(f"refused with {code}, not for the condition")


def create_once(scene: Scene) -> Outcome:
    code = refusal(scene.put, "once/it", b"first", IfNoneMatch="*")
    if code is not None:
        return absent(f"If-None-Match on a free key is refused: {code}")
    code = refusal(scene.put, "once/it", b"second", IfNoneMatch="*")
    bad = _condition(code, "If-None-Match: * is ignored: the second put was taken")
    if bad is None and scene.get("once/it") != b"first":
        bad = broken(f"the second put is refused ({code}) and stands there")
    return bad or holds(f"the second put is refused: {code}")


def create_once_multipart(scene: Scene) -> Outcome:
    scene.put("once/parts", b"first")
    with brief_upload(scene, "once/parts") as upload:
        part = scene.part(upload, 1, b"second")
        code = refusal(scene.complete, upload, [part], IfNoneMatch="*")
    bad = _condition(code, "If-None-Match: * is ignored on Complete: it was replaced")
    if bad is None and scene.get("once/parts") != b"first":
        bad = broken(f"Complete is refused ({code}) and stands there")
    return bad or holds(f"refused: {code}")


def create_race(scene: Scene) -> Outcome:
    def write(name: str, number: int) -> Any:
        return scene.put(name, b"writer %d" % number, IfNoneMatch="*")

    return _race(scene, Race("race/create", _WRITERS, _ROUNDS, write))


def renew(scene: Scene) -> Outcome:
    tag = scene.put("renew/it", b"first")["ETag"]
    code = refusal(scene.put, "renew/it", b"second", IfMatch=_OTHER)
    bad = _condition(code, "If-Match is ignored: a put with another's ETag was taken")
    if bad is not None:
        return bad
    if scene.get("renew/it") != b"first":
        return broken(f"a put with another's ETag is refused ({code}) and stands there")
    code = refusal(scene.put, "renew/it", b"third", IfMatch=tag)
    if code is not None:
        return absent(f"a put with the right ETag is refused too: {code}")
    return holds("with the right ETag alone")


def renew_race(scene: Scene) -> Outcome:
    tags: dict[str, str] = {}

    def write(name: str, number: int) -> Any:
        return scene.put(name, b"writer %d" % number, IfMatch=tags[name])

    def prepare(name: str) -> None:
        tags[name] = scene.put(name, b"the old one")["ETag"]

    return _race(scene, Race("race/renew", _RENEWERS, _RENEWALS, write, prepare))


@dataclass(frozen=True)
class Race:
    """Several rounds of several writers."""

    stem: str
    writers: int
    rounds: int
    write: Callable[[str, int], Any]
    prepare: Callable[[str], None] = lambda _name: None


def _race(scene: Scene, race: Race) -> Outcome:
    """At most one may win each round, and its bytes must stand."""
    won = 0
    for number in range(race.rounds):
        name = f"{race.stem}/{number}"
        race.prepare(name)
        winners, odd = _round(name, race)
        if len(winners) > 1:
            return broken(f"{len(winners)} of {race.writers} writers won round {number + 1}")
        if odd is not None:
            return unknown(f"a writer had no clear answer: {odd}")
        if winners and scene.get(name) != b"writer %d" % winners[0]:
            return broken(f"another writer's bytes stand there after round {number + 1}")
        won += len(winners)
    if won < race.rounds:
        return unknown(f"{race.rounds - won} of {race.rounds} rounds had no winner")
    return holds(f"{race.writers} writers, {race.rounds} rounds, one winner each")


def _round(name: str, race: Race) -> tuple[list[int], str | None]:
    winners, odd = list[int](), list[str]()
    ready = threading.Barrier(race.writers)

    def one(number: int) -> None:
        try:
            ready.wait(10)
            code = refusal(race.write, name, number)
        except (ClientError, BotoCoreError, SreError, threading.BrokenBarrierError) as error:
            odd.append(str(error) or type(error).__name__)
            return
        if code is None:
            winners.append(number)
        elif code not in _TAKEN:
            odd.append(code)

    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(race.writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return winners, odd[0] if odd else None


def conditional_delete(scene: Scene) -> Outcome:
    tag = scene.put("unless/it", b"x")["ETag"]
    call = scene.client.delete_object
    code = refusal(call, **scene.at("unless/it"), IfMatch=_OTHER)
    if code is None and scene.head("unless/it") is not None:
        return broken("a delete with another's ETag answers success and does nothing")
    bad = _condition(code, "If-Match is ignored: a delete with another's ETag was done")
    if bad is None and scene.head("unless/it") is None:
        bad = broken(f"a delete with another's ETag is refused ({code}) and done")
    if bad is not None:
        return bad
    code = refusal(call, **scene.at("unless/it"), IfMatch=tag)
    return holds() if code is None else absent(f"the right ETag is refused too: {code}")


_MANY = "several writers (else one alone)"

CONDITIONS = (
    Check("create-once", "a put with If-None-Match: * never overwrites", _MANY, "feature",
          create_once, group="once"),
    Check("create-race", "of 8 writers at once exactly one creates an object", _MANY, "feature",
          create_race, group="once"),
    Check("create-once-multipart", "Complete with If-None-Match: * never overwrites", _MANY,
          "feature", create_once_multipart),
    Check("renew", "a put with If-Match replaces that version alone", "leases", "feature", renew,
          group="renew"),
    Check("renew-race", "of 4 writers at once exactly one renews a lease", "leases", "feature",
          renew_race, group="renew"),
    Check("conditional-delete", "a delete with If-Match removes that version alone",
          "giving a lease back", "note", conditional_delete),
)  # fmt: skip
