"""What does an archiver do while it holds the lease: receive, ship, look, tell?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sre.backup.databases.pgdsn import reveal
from sre.backup.job import Job
from sre.backup.log.coverage import Gap, Held
from sre.backup.log.facts import LogState, publish_log
from sre.backup.log.layout import Item
from sre.backup.log.lsn import format_lsn, number_at
from sre.backup.log.places import early_seconds, server_of
from sre.backup.log.reading import LogReader
from sre.backup.log.receiver import Receiver, first_missing
from sre.backup.log.refill import Refill
from sre.backup.log.server import Identity, Watch, identify
from sre.backup.log.shipping import Shipping
from sre.backup.log.survey import bases, windows
from sre.backup.model import Declared
from sre.core.errors import IntegrityError, SreError, Transient

__all__ = ["Follower"]

_TELL = 5.0
_LOOK = 300.0
_FIRST, _LONGEST = 1.0, 15.0


@dataclass
class _Pace:
    """When to try again: soon at first, then less often."""

    pause: float = _FIRST
    due: float = float("-inf")

    def failed(self, now: float) -> None:
        self.due, self.pause = now + self.pause, min(_LONGEST, self.pause * 2)

    def went_well(self) -> None:
        self.pause, self.due = _FIRST, float("-inf")


@dataclass
class Follower:
    """The parts of one archiver and how they stand.

    Attributes:
        say: told what a person at the terminal should know.
        from_slot: the log before was removed: begin at what the slot keeps, with a hole.
    """

    job: Job
    declared: Declared
    identity: Identity
    watch: Watch
    receiver: Receiver
    shipping: Shipping
    say: Callable[[str], None]
    refill: Refill
    told: Callable[[], None] = lambda: None
    held: Held | None = None
    from_slot: bool = False
    server_problem: str = ""
    store_problem: str = ""
    _receiving: _Pace = field(default_factory=_Pace)
    _shipping: _Pace = field(default_factory=_Pace)
    _next: dict[str, float] = field(default_factory=dict)
    _looked: tuple[int, float | None, float | None, bool] = (0, None, None, False)
    _dropped: int = 0

    def tick(self) -> None:
        """One round. Raises Diverged, Fenced; what is temporary is tried again later."""
        self.receive()
        now = self.job.clock.now()
        if now >= self._shipping.due:
            self._ship(now)
        if self.watch.dropped != self._dropped:
            self._dropped = self.watch.dropped
            self.note("slot was gone", slot=self.watch.slot)
            self.say(f"the slot {self.watch.slot} was gone and is made anew; looking for a hole")
            self._next.pop("look", None)
        if self._is_due("tell", _TELL):
            self.tell("following")

    def receive(self) -> None:
        """See that pg_receivewal runs; also while the store is away. Raises IntegrityError."""
        why = self.receiver.ended()
        now = self.job.clock.now()
        if why is None:
            view = self.watch.view  # a new one: it may have been up for a moment alone
            if view is not None and view.streams and view.at > self.receiver.began + 2:
                self.server_problem = ""
                self._receiving.went_well()
            return
        if why:
            self._judge(why)
            self._receiving.failed(now)
        if now < self._receiving.due:
            return
        try:
            self.identity = self._same_server(identify(reveal(server_of(self.declared).dsn)))
            self.watch.first(10.0)
            start = self._start(self._fallback())
            for path in self.receiver.begin(self.identity, start):
                self.note("spool file set aside", path=path)
            self.from_slot = False
        except (Transient, OSError) as error:
            self._trouble(str(error))
            self._receiving.failed(self.job.clock.now())

    def _same_server(self, found: Identity) -> Identity:
        if found.place != self.identity.place or found.size != self.identity.size:
            raise IntegrityError(
                f"the dsn of {self.declared.name} leads to another server now ({found.place}, "
                f"before {self.identity.place}); start again to archive that one apart"
            )
        return found

    def _judge(self, why: str) -> None:
        if why == "removed":
            self.from_slot = True
            at = format_lsn(self.shipping.stored)
            self.note("log is gone from the server", after=at)
            self.say(
                f"the server has removed log that was not stored, after {at}: there is a hole; "
                f"take a new full backup: sre backup run {self.declared.name}"
            )
            self._next.pop("look", None)
            return
        if why == "elsewhere":
            for each in self.shipping.spool.files():
                if each.partial:
                    self.note("spool file set aside", path=self.shipping.spool.aside(each))
        self._trouble(f"pg_receivewal ended: {why}")

    def _trouble(self, problem: str) -> None:
        if problem != self.server_problem:
            self.say(problem)
            self.note("log is not received", problem=problem)
        self.server_problem = problem

    def _fallback(self) -> int:
        found = self.watch.view
        slot = found.slot if found is not None else None
        if slot is not None and slot.restart is not None:
            return slot.restart
        return self.identity.lsn

    def _start(self, fallback: int) -> int:
        size = self.identity.size
        if self.from_slot:
            return number_at(fallback, size)
        held = self.held or Held(size)
        files = [each for each in self.shipping.spool.files() if not each.partial]
        here = Held.of((Item(each.name, "segment") for each in files if len(each.name) == 24), size)
        both = Held(size, held.whole | here.whole)
        return first_missing(self.identity, both, fallback)

    def list_store(self) -> LogReader:
        """What is in the store, for where to begin. Raises Transient, Damaged."""
        place = self.shipping.writer.place
        reader = LogReader(self.job.storage(self.declared), self.job.backups.keys, place.prefix)
        self.held = Held.of(reader.items, self.identity.size)
        numbers = self.held.numbers(self.identity.way)
        piece = self.held.piece(self.identity.way, numbers[-1]) if numbers else None
        if piece is not None and piece[1] > self.shipping.stored:
            self.shipping.timeline, self.shipping.stored = piece[0].timeline, piece[1]
            done = self.shipping.stored // self.identity.size * self.identity.size
            self.watch.advance_to = max(self.watch.advance_to, done)
        return reader

    def _ship(self, now: float) -> None:
        try:
            if self.shipping.whole():
                self.held = None if self.held is None else self._with_stored()
            if self._is_due("early", early_seconds(self.declared)) and not self.early():
                self._next["early"] = now + 1.0  # soon after the log goes on
            if self._is_due("look", _LOOK):
                self._look()
        except (Transient, OSError) as error:
            self._shipping.failed(now)
            self._next.pop("early", None)
            self._cannot_store(str(error))
            return
        if self.store_problem:
            self.note("log is stored again")
        self.store_problem = ""
        self._shipping.went_well()

    def _cannot_store(self, problem: str) -> None:
        if not self.store_problem:
            self.note("log is not stored", problem=problem)
            self.say(f"the log waits in the spool: {problem}")
        self.store_problem = problem

    def _with_stored(self) -> Held:
        assert self.held is not None  # noqa: S101  asked before
        size = self.identity.size
        last = (self.shipping.timeline, self.shipping.stored // size - 1)
        return Held(size, self.held.whole | {last}, self.held.partial)

    def early(self) -> int:
        """The beginning of what is not whole. Raises as `Shipping.early`."""
        view = self.watch.view
        running = self.receiver.running
        fresh = view is not None and not self.watch.problem
        flushed = view.flushed if view is not None and fresh else None
        return self.shipping.early(flushed=flushed, still=not running)

    def _look(self) -> None:
        """Holes since the newest full, by a list of the store: somebody may remove things."""
        reader = self.list_store()
        catalogue = self.job.catalogue(self.declared)
        found, _ = bases(catalogue, self.declared.name, self.identity.place)
        try:
            seen = windows(reader, found)
        except IntegrityError as error:
            self.say(str(error))
            return
        if seen and self._asked_again({gap: None for each in seen for gap in each.cover.gaps}):
            self._next.pop("look", None)  # what it is like now, soon
            return
        gaps = sum(gap.segments for gap in seen[-1].cover.gaps) if seen else 0
        first = min((each.since for each in seen), default=None)
        last = max((each.until for each in seen), default=None)
        before = self._looked[0]
        self._looked = (gaps, first, last, bool(gaps) or not found)
        if gaps and gaps != before:
            gap = seen[-1].cover.gaps[0]
            self.note("log has a hole", first=gap.first, last=gap.last, segments=gaps)
            self.say(
                f"{gaps} segments are missing since the newest backup, from {gap.first} on: a new "
                f"full backup is needed: sre backup run {self.declared.name}"
            )

    def _asked_again(self, gaps: Iterable[Gap]) -> bool:
        """What the server still has of the holes goes into the store; whether anything did."""
        view = self.watch.view
        if view is None or self.watch.problem:
            return False
        done = self.refill.fill(gaps, view.lsn)
        for text in (text for each in done for text in each.words):
            self.note("log had gone from the store", said=text)
            self.say(text)
        return any(each.names for each in done)

    def state(self, word: str) -> LogState:
        """How it stands now."""
        view, shipping = self.watch.view, self.shipping
        waiting = [each.path for each in shipping.spool.files() if not each.partial]
        oldest = 0.0
        with contextlib.suppress(OSError):
            stamps = [path.stat().st_mtime for path in waiting]
            oldest = max(0.0, self.job.clock.wall() - min(stamps)) if stamps else 0.0
        gaps, first, last, needed = self._looked
        upto = self.watch.upto(shipping.timeline, shipping.stored)
        slot = view.slot if view is not None else None
        problem = self.store_problem or self.server_problem or self.watch.problem
        return LogState(
            db=self.declared.name,
            place=self.identity.place,
            state="behind" if problem and word == "following" else word,
            problem=problem,
            timeline=shipping.timeline,
            stored=shipping.stored or None,
            lag_bytes=max(0, view.lsn - shipping.stored) if view and shipping.stored else None,
            lag_seconds=oldest,
            rpo_seconds=self.watch.age(shipping.timeline, shipping.stored),
            gap_segments=gaps,
            first=first,
            last=max((each for each in (last, upto) if each is not None), default=None)
            if not gaps
            else last,
            slot=slot.status if slot is not None else "",
            full_needed=needed,
        )

    def tell(self, word: str) -> None:
        """Publish how it stands."""
        publish_log(self.job, self.state(word))
        with contextlib.suppress(SreError, OSError):
            self.told()

    def note(self, event: str, **details: object) -> None:
        """Into the journal; a full disk does not stop us."""
        with contextlib.suppress(SreError):
            self.job.note(event, db=self.declared.name, **details)

    def _is_due(self, what: str, every: float) -> bool:
        now = self.job.clock.now()
        if now < self._next.get(what, float("-inf")):
            return False
        self._next[what] = now + every
        return True
