"""Is a standby near enough to its primary to be copied instead of it, and how far behind is it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.backup.databases.pgdsn import reveal
from sre.core.clock import Deadline
from sre.core.errors import SreError
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.sql.session import Session

__all__ = ["TIMELINE", "Replica", "Standing", "judge", "look", "usable"]

_SETTLE_SECONDS = 3.0
_POLL_SECONDS = 0.1

TIMELINE = (
    "select case when pg_is_in_recovery() then greatest("
    "(select timeline_id from pg_control_checkpoint()), "
    "(select min_recovery_end_timeline from pg_control_recovery())) "
    "else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end"
)
_STANDING = f"""select pg_is_in_recovery(),
    (select system_identifier::text from pg_control_system()),
    ({TIMELINE}),
    extract(epoch from now() - greatest(
        (select checkpoint_time from pg_control_checkpoint()),
        pg_last_xact_replay_timestamp(),
        case when pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn()
            then (select last_msg_send_time from pg_stat_wal_receiver) end
    ))::float8"""  # noqa: S608  no text of others is in it
_REACHED = "select coalesce(pg_last_wal_replay_lsn() >= '{}'::pg_lsn, true)"


@dataclass(frozen=True)
class Replica:
    """A standby that is copied instead of its primary, while it is near.

    Attributes:
        dsn: of the standby; a user that may replicate and connect there.
        max_lag: a standby that is further behind is not copied, its primary is.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    dsn: Secret
    max_lag: Duration = Duration(300.0)

    def __post_init__(self) -> None:
        if self.max_lag <= 0:
            raise ValueError("max_lag must be longer than 0")


@dataclass(frozen=True)
class Standing:
    """What a server says of itself as a standby.

    Attributes:
        recovering: it is a standby.
        behind: everything that was committed so many seconds ago is in it; 0 of a primary.
    """

    recovering: bool
    system_id: str
    timeline: int
    behind: float


def look(session: Session) -> Standing:
    """Ask a server."""
    ((recovering, system, timeline, behind),) = session.rows(_STANDING)
    known = max(0.0, float(behind)) if recovering else 0.0
    return Standing(bool(recovering), str(system), int(timeline), known)


def judge(
    standing: Standing, system_id: str, timeline: int, max_lag: float, *, reached: bool
) -> str:
    """What speaks against copying it; empty when nothing does. (pure)

    `reached`: it has replayed all that the primary had written a moment ago.
    """
    if not standing.recovering:
        return "it is no standby: it was promoted, or it is the primary itself"
    if standing.system_id != system_id:
        return f"it belongs to another system ({standing.system_id}, the primary is {system_id})"
    if standing.timeline != timeline:
        return f"it is on timeline {standing.timeline}, the primary on {timeline}"
    if reached:
        return ""
    if standing.behind > max_lag:
        return f"it is {standing.behind:.0f} s behind, more than {max_lag:g} s"
    return ""


def usable(
    replica: Replica, system_id: str, timeline: int, position: str, deadline: Deadline
) -> tuple[str, float]:
    """What speaks against copying it now (empty: nothing), and how far behind it is, seconds.

    `position` is where the primary's log ended a moment ago. A standby that does not answer is not
    copied; that is no error.
    """
    short = Deadline.after(min(_SETTLE_SECONDS, max(0.0, deadline.left())), deadline.clock)
    dsn = reveal(replica.dsn)
    try:
        while True:
            with Session(dsn, statement_seconds=max(1.0, short.left())) as session:
                standing = look(session)
                reached = bool(session.value(_REACHED.format(position)))
            if reached or not standing.recovering or short.passed():
                break
            deadline.clock.sleep(_POLL_SECONDS)
    except SreError as error:
        return f"it does not answer: {error}", 0.0
    problem = judge(standing, system_id, timeline, replica.max_lag, reached=reached)
    return problem, 0.0 if reached else standing.behind
