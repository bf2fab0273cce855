"""To which moment shall a database come back?

Pure: what the options of a restore mean, and what PostgreSQL is told for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sre.backup.log.lsn import format_lsn, parse_lsn
from sre.core.errors import UsageError

__all__ = ["LATEST", "OWN_END", "Target", "parse_target", "parse_time", "time_text"]

_LONGEST_NAME = 63


@dataclass(frozen=True)
class Target:
    """A moment. One of the fields `time` to `order` is set, or none.

    Attributes:
        time: Unix seconds, exact to a microsecond.
        lsn: a position of the log.
        restore_point: the name that was given to pg_create_restore_point.
        order: the id of the row before whose transaction to stop.
        latest: everything that is in the archive; with nothing set at all, the backup's own end.
        inclusive: whether a transaction that committed exactly there is in it.
        timeline: follow the way to this timeline; None: to the newest.
    """

    time: float | None = None
    lsn: int | None = None
    restore_point: str | None = None
    order: str | None = None
    latest: bool = False
    inclusive: bool = True
    timeline: int | None = None

    @property
    def exact(self) -> bool:
        """Whether it names a moment: neither everything nor the backup's own end."""
        return not (self.time is None and self.lsn is None and self.searched is None)

    @property
    def replays(self) -> bool:
        """Whether the archived log is replayed at all."""
        return self.latest or self.exact

    @property
    def searched(self) -> str | None:
        """What has to be looked for in the log before its position is known."""
        return self.restore_point if self.order is None else self.order

    def settings(self) -> dict[str, str]:
        """What PostgreSQL is told; of a restore point or an order, its position must be known."""
        found = {"recovery_target_timeline": str(self.timeline or "latest")}
        if self.time is not None:
            found["recovery_target_time"] = time_text(self.time)
        elif self.lsn is not None:
            found["recovery_target_lsn"] = format_lsn(self.lsn)
        if len(found) > 1:
            found["recovery_target_inclusive"] = "on" if self.inclusive else "off"
        return found

    def __str__(self) -> str:
        if self.order is not None:
            return f"the moment before order {self.order!r}"
        if self.restore_point is not None:
            return f"the restore point {self.restore_point!r}"
        words = "" if self.inclusive else ", without what committed exactly then"
        if self.time is not None:
            return f"{time_text(self.time)}{words}"
        if self.lsn is not None:
            return f"position {format_lsn(self.lsn)}{words}"
        return "everything that is archived" if self.latest else "the end of the backup"


LATEST = Target(latest=True)
OWN_END = Target()


def parse_target(
    *,
    at: str | None = None,
    lsn: str | None = None,
    restore_point: str | None = None,
    before_order: str | None = None,
    latest: bool = False,
    inclusive: bool | None = None,
    timeline: int | None = None,
) -> Target:
    """What the options say, at most one of the first five. Raises UsageError."""
    options = {
        "--at": at, "--lsn": lsn, "--restore-point": restore_point, "--before-order": before_order,
        "--latest": latest or None,
    }  # fmt: skip
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} name two moments; say one of them")
    if inclusive is not None and given not in (["--at"], ["--lsn"]):
        raise UsageError("--inclusive and --exclusive belong to --at and --lsn alone")
    if timeline is not None and timeline < 1:
        raise UsageError(f"--timeline {timeline}: timelines count from 1")
    if restore_point is not None and not 0 < len(restore_point.encode()) <= _LONGEST_NAME:
        raise UsageError("the name of a restore point has 1 to 63 bytes")
    if before_order == "":
        raise UsageError("--before-order needs the id of an order")
    return Target(
        time=None if at is None else parse_time(at),
        lsn=None if lsn is None else parse_lsn(lsn),
        restore_point=restore_point,
        order=before_order,
        latest=latest or (timeline is not None and not given),
        inclusive=True if inclusive is None else inclusive,
        timeline=timeline,
    )


def parse_time(text: str) -> float:
    """`2026-11-22T10:00:00Z` or with `+01:00`, as Unix seconds. Raises UsageError.

    A time without a zone is refused: it would be another moment on another machine.
    """
    example = f"{datetime(2026, 11, 22, 10, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write it like {example}") from None
    if found.tzinfo is None:
        raise UsageError(
            f"{text!r} does not say its time zone; write {example}, or +01:00 at the end"
        )
    if found.year < 2000:
        raise UsageError(f"{text!r} is before any backup; write it like {example}")
    return found.timestamp()


def time_text(at: float) -> str:
    """As PostgreSQL reads it, and people too: UTC, microseconds where there are any."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "+00"
