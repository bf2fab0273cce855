"""What stands in the archived log: which transactions, restore points, changes, until when?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sre.backup.log.lsn import format_lsn
from sre.backup.log.timelines import Way
from sre.backup.programs import Tail
from sre.backup.recovery.records import Line, RestorePoint, parse_line, restore_point_of, time_of
from sre.core.child import PIPE, Child
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed

__all__ = ["Wal"]

_END_SECONDS = 30.0


@dataclass(frozen=True)
class Wal:
    """Fetched files of the log.

    Attributes:
        programs: where pg_waldump is.
        size: bytes of a segment.
        begin, end: positions; a record begins at `begin`, and none after `end` is whole.
    """

    folder: Path
    programs: Path
    way: Way
    size: int
    begin: int
    end: int

    def lines(self, *rmgrs: str, since: int | None = None) -> Iterator[Line]:
        """The records of these kinds, in order, over all timelines of the way.

        Raises CheckFailed when pg_waldump does not even begin.
        """
        begins = self.way.begins()
        start = self.begin if since is None else since
        for index, (timeline, begin) in enumerate(begins):
            until = min([self.end, *(lsn for _, lsn in begins[index + 1 : index + 2])])
            first = max(start, begin)
            if first < until:
                yield from self._of(timeline, first, until, rmgrs)

    def restore_points(self, name: str) -> list[RestorePoint]:
        """Those with a name, oldest first."""
        found = (restore_point_of(each) for each in self.lines("XLOG"))
        return [each for each in found if each is not None and each.name == name]

    def newest(self) -> tuple[float | None, int]:
        """When the newest transaction ended (Unix seconds), and where the last record begins.

        Reads from the end, a segment more each time, until there is one.
        """
        begin = self.end - self.end % self.size
        while True:
            first, moment, last = max(begin, self.begin), None, self.begin
            for each in self.lines(since=first):
                at = time_of(each)
                moment, last = (moment if at is None else at), each.lsn
            if moment is not None or first == self.begin:
                return moment, last
            begin = first - 4 * self.size

    def _of(self, timeline: int, begin: int, end: int, rmgrs: tuple[str, ...]) -> Iterator[Line]:
        said = Tail()
        argv = [
            str(self.programs / "pg_waldump"), "-p", str(self.folder), "-t", str(timeline),
            "-s", format_lsn(begin), "-e", format_lsn(end),
        ]  # fmt: skip
        env, seen = {"LC_ALL": "C", "TZ": "UTC"}, False
        wanted = tuple(f"rmgr: {each} ".encode() for each in rmgrs) or b"rmgr: "
        with Child(argv, stdout=PIPE, stderr=said, env=env, cwd="/") as child:
            assert child.stdout is not None  # noqa: S101  made with PIPE
            for raw in child.stdout:
                seen = seen or raw.startswith(b"rmgr: ")
                if not raw.startswith(wanted):  # most are of no interest, and there are millions
                    continue
                line = parse_line(raw.decode("utf-8", "surrogateescape"))
                if line is not None and line.lsn < end:
                    yield line
            code = child.wait(Deadline.after(_END_SECONDS))
        # It ends with an error where the log does; that it found nothing at all is one only if
        # it says something else.
        if code and not seen and "could not find a valid record" not in said.text():
            raise CheckFailed(f"pg_waldump cannot read the log: {said.text()}")
