"""What does `sre backup archive` do all day, and what when something of it fails?

    pg_receivewal ─► spool ─► seal ─► store, asked back ─► record ─► spool emptied, slot advanced

The store may be away (the spool grows; when its disk is full the slot keeps the rest on the
server), the server may be (what is in the spool goes on its way), we may be killed: what is in the
spool or on the server then is what the next start goes on with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sre.backup.audit.doing import audited
from sre.backup.databases.pgdsn import reveal
from sre.backup.job import Job
from sre.backup.keys import keys_ready
from sre.backup.lease import Fenced
from sre.backup.log.follower import Follower
from sre.backup.log.layout import LogPlace, log_place
from sre.backup.log.lsn import format_lsn
from sre.backup.log.places import (
    application_name,
    epoch_note,
    program_of,
    server_of,
    slot_name,
    spool_folder,
)
from sre.backup.log.receiver import Receiver
from sre.backup.log.refill import Refill
from sre.backup.log.server import Identity, Watch, identify
from sre.backup.log.shipping import Shipping
from sre.backup.log.spool import Spool
from sre.backup.log.writing import Writer
from sre.backup.model import Declared
from sre.core.clock import Deadline
from sre.core.errors import IntegrityError, Locked, SreError, Terminated, Transient, UsageError

__all__ = ["Archiving", "archive", "plan_archive"]

_ROUND = 0.2
_RETRY = 2.0
_FIRST_SECONDS = 30.0
_ONCE_SECONDS = 600.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Archiving:
    """What an archiver would do, asked of the server with nothing written."""

    declared: Declared
    identity: Identity
    slot: str

    @property
    def place(self) -> LogPlace:
        """Where its log goes."""
        return log_place(self.declared.name, self.identity.place)


def plan_archive(job: Job, db: str) -> Archiving:
    """Check keys, server and programs. Raises UsageError, Transient, MissingExtra."""
    declared = job.declared(db)
    server = server_of(declared)
    keys_ready(job.backups.keys)
    identity = identify(reveal(server.dsn))
    program_of(declared, identity, spool_folder(job.state, declared, identity))
    return Archiving(declared, identity, slot_name(declared))


def archive(
    job: Job,
    db: str,
    *,
    once: bool,
    say: Say = lambda _text: None,
    told: Callable[[], None] = lambda: None,
) -> str:
    """Follow the log until told to end, or (`once`) until what is written now is stored.

    `told` is called whenever the fact of it is new. Returns the position that was reached, in text.

    Raises:
        Locked: an archiver of this database runs on this machine, or (`once`) on another.
        IntegrityError: somebody else writes this timeline; nothing is stored any more.
        UsageError, MissingExtra: keys, server or programs.
        Transient: (`once`) store or server do not answer.
        Terminated: told to end; what there was is stored if the store answers.
    """
    declared = job.declared(db)
    with job.lock("archive", db):
        plan = _planned(job, declared, once=once, say=say)
        with _parts(job, plan, say) as follower:
            follower.told = told
            try:
                _hold_and_follow(job, follower, once=once)
            except IntegrityError as error:
                follower.store_problem = str(error)
                follower.note("archive stopped", problem=str(error))
                raise
            except OSError as error:
                raise Transient(_no_spool(follower, error)) from error
            finally:
                with contextlib.suppress(OSError):
                    follower.tell("stopped")
            return format_lsn(follower.shipping.stored)


def _no_spool(follower: Follower, error: OSError) -> str:
    return (
        f"cannot work in the spool {follower.shipping.spool.folder}: {error.strerror}; is its disk "
        "there? The server keeps the log meanwhile; start it again"
    )


def _planned(job: Job, declared: Declared, *, once: bool, say: Say) -> Archiving:
    """A server that is not up yet is waited for by a service."""
    while True:
        try:
            return plan_archive(job, declared.name)
        except Transient as error:
            if once:
                raise
            say(f"waiting for the server: {error}")
            job.clock.sleep(_RETRY)


@contextlib.contextmanager
def _parts(job: Job, plan: Archiving, say: Say) -> Iterator[Follower]:
    declared, identity = plan.declared, plan.identity
    folder = spool_folder(job.state, declared, identity)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"cannot make the spool {folder}: {error.strerror}") from error
    spool = Spool(folder, identity.size, identity.system)
    dsn, clock = reveal(server_of(declared).dsn), job.clock
    argv, env = program_of(declared, identity, folder)
    watch = Watch(
        dsn, plan.slot, application_name(declared), float(declared.archive.heartbeat), clock
    )
    note, keys = epoch_note(job.state, declared), job.backups.keys
    writer = Writer(job.storage(declared), keys, plan.place, clock, note, declared.tier.lock)
    receiver = Receiver(argv, env, spool, clock)

    def told(what: str, name: str) -> None:
        follower.note(f"log: {what}", name=name)
        say(f"{what}: {name}")

    shipping = Shipping(spool, writer, watch, told)
    refill = Refill((argv, env), spool, writer)
    follower = Follower(job, declared, identity, watch, receiver, shipping, say, refill)
    with watch.watching():
        try:
            yield follower
        finally:
            receiver.stop()


def _hold_and_follow(job: Job, follower: Follower, *, once: bool) -> None:
    """Under the lease; without it nothing is stored, and what is received waits in the spool."""
    declared, told = follower.declared, ""
    while True:
        try:
            with (
                job.lease(declared, "archive") as lease,
                audited(job, declared.store_name, "archive", declared.name, fence=lease.fence),
            ):
                follower.shipping.writer.check = lease.check
                told = ""
                _follow(follower, once=once)
                return
        except (Transient, Locked) as error:
            if once:
                raise
            if isinstance(error, Locked) and not isinstance(error, Fenced):
                follower.receiver.stop()  # another host follows: ours would fill the spool
            if str(error) != told:
                follower.say(f"waiting: {error}")
                told = str(error)
            follower.store_problem = str(error)
        _wait(follower, _RETRY)


def _wait(follower: Follower, seconds: float) -> None:
    """The log goes on coming in meanwhile, if it did before."""
    deadline = Deadline.after(seconds, follower.job.clock)
    while not deadline.passed():
        if follower.receiver.child is not None:
            follower.receive()
        follower.job.clock.sleep(_ROUND)
    follower.tell("waiting")


def _follow(follower: Follower, *, once: bool) -> None:
    follower.list_store()
    clock = follower.job.clock
    target = follower.watch.first(_FIRST_SECONDS).lsn if once else None
    deadline = Deadline.after(_ONCE_SECONDS, clock)
    follower.note("archive follows", slot=follower.watch.slot)
    try:
        while True:
            follower.tick()
            if target is not None:
                follower.early()
                _must_go_on(follower, deadline)
                if follower.shipping.stored >= target:
                    return
            clock.sleep(_ROUND)
    except (Terminated, KeyboardInterrupt):
        follower.say("ending: storing what there is")
        follower.receiver.stop()
        with contextlib.suppress(SreError, OSError):
            follower.shipping.whole()
            follower.early()
        raise


def _must_go_on(follower: Follower, deadline: Deadline) -> None:
    problem = follower.store_problem or follower.server_problem
    if deadline.passed():
        raise Transient(f"the log was not stored in time: {problem or 'no progress'}")
    if follower.store_problem:
        raise Transient(follower.store_problem)
