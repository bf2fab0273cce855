"""What would a backup be: of what kind, on which one, told by whom?"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sre.backup.engine import Dump, Elsewhere, Source
from sre.backup.job import Job
from sre.backup.keys import keys_ready
from sre.backup.layout import Place, new_id
from sre.backup.model import Declared
from sre.backup.pages.choose import KINDS, Choice
from sre.backup.pages.choosing import Base, choice_for, opened_base
from sre.backup.pages.identity import recipient as sidecar_recipient
from sre.backup.pruning.locking import writing
from sre.backup.tap import Tapping
from sre.core.clock import Deadline
from sre.core.errors import IntegrityError, Refused

__all__ = ["Plan", "comparing", "plan_backup"]

_IDENTIFY_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """What a run would do, asked of the database but with nothing written.

    Attributes:
        asked: the kind that was asked for; `choice` says what it becomes.
        not_native: why pages are compared although the server was to say what has changed.
    """

    declared: Declared
    source: Source
    dump: Dump
    place: Place
    asked: str = "full"
    choice: Choice = field(default_factory=Choice)
    not_native: str = ""


def plan_backup(job: Job, db: str, kind: str = "full", *, refuse: str = "") -> Plan:
    """Check the keys and ask the database; `--dry-run` ends here.

    `kind` is full, differential or incremental. With `refuse` it is a full one for that reason.

    Raises UsageError (keys, programs), Transient (the database does not answer), Refused (the tier
    locks what is written, and the store cannot).
    """
    declared = job.declared(db)
    keys_ready(job.backups.keys)
    writing(job.storage(declared), declared.tier.lock, job.clock.wall())
    source = declared.database.identify(Deadline.after(_IDENTIFY_SECONDS, job.clock))
    if isinstance(declared.database, Elsewhere):
        choice = Choice(kind)  # on what it builds is its own business
    else:
        choice = Choice(reason=refuse) if refuse else choice_for(job, declared, source, kind)
    label = new_id(job.clock.wall(), KINDS[choice.kind], secrets.token_bytes(8))
    dump = declared.database.dump(source, label)
    return Plan(declared, source, dump, Place(db, source.place, label), kind, choice)


@contextlib.contextmanager
def comparing(job: Job, plan: Plan) -> Iterator[tuple[Plan, Tapping]]:
    """Open what the backup is compared with; without it, it becomes a full one.

    Under the lease, and chosen anew there: retention may have run until a moment ago.
    """
    keys, db = job.backups.keys, plan.declared.name
    if not plan.dump.pages:
        yield plan, Tapping()
        return
    aside, given = sidecar_recipient(keys.signing), dict[str, int]()
    if plan.choice.chain:
        plan = plan_backup(job, db, plan.asked)
    with contextlib.ExitStack() as stack:
        if plan.choice.chain:
            storage = job.storage(plan.declared)
            try:
                base = stack.enter_context(opened_base(storage, plan.choice.chain, keys))
                given["map"] = base.map.fileno()
                plan = stack.enter_context(_natively(plan, base))
            except IntegrityError as error:
                plan = plan_backup(job, db, plan.asked, refuse=str(error))
        options = {"server": plan.dump.server, "native": plan.dump.native}
        yield plan, Tapping("pages", options, given, aside)


@contextlib.contextmanager
def _natively(plan: Plan, base: Base) -> Iterator[Plan]:
    """The plan of a backup for which the server leaves out what has not changed, if it may."""
    increment = getattr(plan.declared.database, "increment", None)
    if increment is None or not plan.dump.server:
        yield plan
        return
    if not base.server:
        parent = plan.choice.chain[-1].id
        yield replace(plan, not_native=f"{parent} was made without native_incremental")
        return
    with tempfile.NamedTemporaryFile(prefix="sre-parent-") as file:
        file.write(base.server)
        file.flush()
        try:
            plan = replace(plan, dump=increment(plan.source, plan.place.id, Path(file.name)))
        except Refused as error:
            plan = replace(plan, not_native=str(error))
        yield plan
