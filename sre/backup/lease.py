"""Is this run still the only one at its database, wherever the others run?

    with hold(storage, terms) as lease:      # Locked names the other holder
        …
        lease.check()                        # before each delete: no request, local and careful
        lease.confirm()                      # before a commit: asks the store
        with guarding(lease.check): …        # and each try of the write asks again

An object in the store, made if none is there and replaced only by whoever knows its version. A
thread renews it every third of its time. When it ends is judged by the store's clock: others see
it end no sooner than the store says, the holder takes it to end a little sooner. Once late or
refused, it is lost for good.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from sre.backup.claim import CONFLICTS, Claim, lease_key, parse_claim
from sre.backup.objects import Cell, Changed, Storage
from sre.core.clock import Clock, SystemClock
from sre.core.errors import Locked, SreError, UsageError

__all__ = ["Fenced", "Lease", "Terms", "hold"]

_ROUNDED = 1.0
"""A store's Date is cut to a second: it may be that much later than it says."""


class Fenced(Locked):
    """The lease ended before the work did; nothing more may be written or deleted."""


@dataclass(frozen=True)
class Terms:
    """What is asked for.

    Attributes:
        ttl: seconds that a claim holds unless it is renewed.
        dead: owners known to have ended without a word (the machine's own lock says so).
        single_writer: the user says that nobody else writes; a store without conditions will do.
    """

    db: str
    op: str
    ttl: float = 60.0
    dead: frozenset[str] = frozenset()
    single_writer: bool = False
    owner: str = field(default_factory=lambda: secrets.token_hex(16))


class Lease:
    """A claim that this process holds."""

    def __init__(self, storage: Storage, terms: Terms, clock: Clock | None = None) -> None:
        self.storage, self.terms, self.clock = storage, terms, clock or SystemClock()
        self.key = lease_key(terms.db, terms.op)
        self._changing = threading.Lock()
        self._lost = ""
        self._sent = 0.0
        self._claim, self._cell = self._take()

    @property
    def fence(self) -> int:
        """The fencing number, which goes into what is made."""
        return self._claim.fence

    @property
    def claim(self) -> Claim:
        """As it was last renewed."""
        return self._claim

    def check(self) -> None:
        """Raises Fenced once the lease may have ended. Asks nobody; safe in any thread."""
        if not self._lost and self._latest() > self._claim.until:
            self._lost = f"it was not renewed in time ({self._claim})"
        if self._lost:
            raise Fenced(
                f"the lease {self.key} is lost: {self._lost}; nothing more was written, run again"
            )

    def confirm(self) -> None:
        """Ask the store whether it is still ours, and renew it. Raises Fenced, Transient."""
        self.renew()
        self.check()

    def renew(self) -> None:
        """Push the end out. Raises Fenced when it is lost, Transient when nobody answers."""
        with self._changing:
            self.check()
            claim = dataclasses.replace(
                self._claim,
                until=self._latest() - _ROUNDED + self.terms.ttl,
                beat=self._claim.beat + 1,
            )
            try:
                self._replace(claim)
            except Changed:
                self._lost = f"somebody else has taken it ({self._other()})"
                self.check()

    def release(self) -> bool:
        """Let it go; False when it was lost before (it is somebody else's business then)."""
        if self._lost or not self._changing.acquire(timeout=self.terms.ttl / 3):
            return False  # a renewal hangs: the claim ends by itself
        try:
            claim = dataclasses.replace(self._claim, released=True, beat=self._claim.beat + 1)
            self._replace(claim)
        except SreError:
            return False
        finally:
            self._lost = self._lost or "it was released"
            self._changing.release()
        return True

    def _replace(self, claim: Claim) -> None:
        sent = self.clock.now()
        self._cell = self.storage.swap(self.key, claim.encode(), self._cell.version)
        self._claim, self._sent = claim, sent

    def _take(self) -> tuple[Claim, Cell]:
        self._sent, cell = self.clock.now(), self.storage.cell(self.key)
        held = None if cell.data is None else parse_claim(cell.data, self.key)
        if held is not None and held.live(cell.at) and held.owner not in self.terms.dead:
            raise Locked(f"locked: {held}; wait for it to end")
        terms = self.terms
        claim = Claim(
            op=terms.op,
            db=terms.db,
            owner=terms.owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            fence=1 if held is None else held.fence + 1,
            since=cell.at,
            until=cell.at + terms.ttl,
        )
        try:
            return claim, self.storage.swap(self.key, claim.encode(), cell.version)
        except Changed:
            raise Locked(f"locked: {self._other()}; wait for it to end") from None

    def _other(self) -> str:
        try:
            data = self.storage.cell(self.key).data
            return "it was removed" if data is None else str(parse_claim(data, self.key))
        except SreError as error:
            return f"by whom cannot be told: {error}"

    def _latest(self) -> float:
        """The store's clock now, or a little later."""
        return self._cell.at + _ROUNDED + (self.clock.now() - self._sent)


@contextlib.contextmanager
def hold(storage: Storage, terms: Terms, clock: Clock | None = None) -> Iterator[Lease]:
    """Hold a lease inside the context; released however it is left, short of kill -9.

    Raises:
        Locked: somebody else holds it, or an operation that it excludes; says who and until when.
        UsageError: the store does not keep conditions, so that no lease there means anything.
        Transient: the store does not answer.
    """
    lease = _taken(storage, terms, clock)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, ended), name="lease", daemon=True)
    try:
        _must_mean_something(lease)
        _must_be_alone(lease)
        keeper.start()
        yield lease
    finally:
        ended.set()
        lease.release()


def _taken(storage: Storage, terms: Terms, clock: Clock | None) -> Lease:
    try:
        return Lease(storage, terms, clock)
    except SreError:
        raise
    except BaseException:  # told to end: perhaps right after the store took the claim
        with contextlib.suppress(SreError):
            _take_back(storage, terms)
        raise


def _take_back(storage: Storage, terms: Terms) -> None:
    key = lease_key(terms.db, terms.op)
    cell = storage.cell(key)
    held = None if cell.data is None else parse_claim(cell.data, key)
    if held is not None and held.owner == terms.owner:
        storage.swap(key, dataclasses.replace(held, released=True).encode(), cell.version)


def _keep(lease: Lease, ended: threading.Event) -> None:
    """Renew until told to end; a store that does not answer is asked again until it is late."""
    pause = lease.terms.ttl / 3
    while not ended.wait(pause):
        try:
            lease.renew()
        except Fenced:
            return
        except SreError:
            pause = min(pause, max(0.1, lease.terms.ttl / 12))
        else:
            pause = lease.terms.ttl / 3


def _must_mean_something(lease: Lease) -> None:
    """A condition that is ignored is a lock that always opens."""
    if lease.terms.single_writer or lease.storage.conditional(lease.key):
        return
    raise UsageError(
        "the store ignores conditions (If-Match, If-None-Match), so two runs could not see each "
        "other; if one machine alone writes there, say single_writer: true at the store"
    )


def _must_be_alone(lease: Lease) -> None:
    """Each writes its own claim first and then looks: of two at once, one sees the other."""
    for op in CONFLICTS.get(lease.terms.op, ()):
        key = lease_key(lease.terms.db, op)
        cell = lease.storage.cell(key)
        held = None if cell.data is None else parse_claim(cell.data, key)
        if held is not None and held.live(cell.at) and held.owner not in lease.terms.dead:
            raise Locked(f"locked: {held}; wait for it to end")
