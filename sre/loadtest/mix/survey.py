"""What do all these logs say together? (reads them once, from the first line to the last)"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sre.core.accesslog import MAX_LINE, Parser, line_parser
from sre.core.errors import UsageError
from sre.core.logvisitor import Reader, visitor_reader
from sre.loadtest.mix.reading import Batch, batches
from sre.loadtest.mix.tally import Tally

__all__ = ["Format", "Survey", "survey"]

_ZONE = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?([+-])(\d\d):?(\d\d)|Z)")
_EARLY = 20_000
_BLANK = "\0\r\t "
_LATEST = 4e9


@dataclass(frozen=True)
class Format:
    """How the lines are written.

    Attributes:
        text: as of `line_parser`; empty: told by the first lines of each file.
        fields: of JSON; `visitor` is the address.
    """

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    unit: str = "s"

    def readers(self, sample: Batch) -> tuple[Parser, Reader | None, str]:
        """What reads the lines, what reads the visitor, and the format's name.

        Raises UsageError: no such format.
        """
        text = {"common": "combined"}.get(self.text, self.text) or _told(sample)
        fields = dict(self.fields)
        visitor = fields.pop("visitor", None)
        try:
            return line_parser(text, fields, self.unit), visitor_reader(text, visitor), text
        except ValueError as error:
            raise UsageError(f"--lines, --field: {error}") from error


@dataclass
class Survey:
    """What was read.

    Attributes:
        offset: seconds that the clock of the log is ahead of UTC.
    """

    files: int = 0
    lines: int = 0
    unread: int = 0
    untimed: int = 0
    offset: int = 0


def survey(
    names: Sequence[str], form: Format, tally: Tally, say: Callable[[Survey], None]
) -> Survey:
    """Count the requests of all these files in `tally`.

    Args:
        say: told how far it is, about each megabyte.

    Raises:
        UsageError: a file cannot be read, is of another format, or tells no times.
    """
    found = Survey()
    for name in names:
        found.files += 1
        _file(name, form, tally, found, say)
    if not found.lines:
        raise UsageError(f"there is no line in {', '.join(names)}: name the logs with traffic")
    return found


def _file(
    name: str, form: Format, tally: Tally, found: Survey, say: Callable[[Survey], None]
) -> None:
    parse: Parser | None = None
    counts = _Counts()
    for batch in batches(name):
        if parse is None:
            parse, tally.reader, text = form.readers(batch)
            found.offset = found.offset or _offset(batch)
        _batch(batch, parse, tally, counts)
        if counts.lines > _EARLY:
            counts.judge(name, text)
        say(found)
    if parse is not None:
        counts.judge(name, text)
    found.lines += counts.lines
    found.unread += counts.unread
    found.untimed += counts.untimed


@dataclass
class _Counts:
    """Of one file."""

    number: int = 0
    lines: int = 0
    unread: int = 0
    untimed: int = 0
    odd: int = 0

    def judge(self, name: str, text: str) -> None:
        """Raises UsageError when most lines are of another format, or tell no time."""
        cure = (
            "name the format: --lines combined, --lines json, or --lines with the text of nginx's "
            "log_format"
        )
        if self.unread * 2 > self.lines:
            raise UsageError(
                f"{name}: {self.unread} of {self.lines} lines are not in the format {text!r}, the "
                f"first is line {self.odd}; {cure}"
            )
        if self.untimed * 2 > self.lines:
            raise UsageError(
                f"{name}: {self.untimed} of {self.lines} lines do not tell when, the first is line "
                f"{self.odd}; log $time_iso8601, or say with --field time=NAME where it stands"
            )


def _batch(batch: Batch, parse: Parser, tally: Tally, counts: _Counts) -> None:
    add = tally.add
    number = counts.number
    lines = 0
    for number, line in enumerate(batch, start=counts.number + 1):
        entry = parse(line) if len(line) <= MAX_LINE else None
        if entry is None:
            if line.strip(_BLANK):
                lines += 1
                counts.unread += 1
                counts.odd = counts.odd or number
            continue
        lines += 1
        at = entry.time
        if at is None or not 0 < at < _LATEST:
            counts.untimed += 1
            counts.odd = counts.odd or number
            continue
        add(entry, at, line)
    counts.number = number
    counts.lines += lines


def _told(sample: Batch) -> str:
    """`json` or `combined`, by the first lines."""
    some = [line for line in sample[:100] if line.strip(_BLANK)]
    objects = sum('{"' in line and line.rstrip().endswith("}") for line in some)
    return "json" if objects * 2 > len(some) else "combined"


def _offset(sample: Batch) -> int:
    for line in sample[:100]:
        match = _ZONE.search(line[:2000])
        if match:
            seconds = (int(match[2]) * 60 + int(match[3])) * 60 if match[1] else 0
            return -seconds if match[1] == "-" else seconds
    return 0
