"""Which headings, fences and paragraphs has a Markdown text, and on which lines?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Fence", "Heading", "Prose", "anchors", "links", "scan"]

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_OPEN = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*(.*?)[ \t]*")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(\s*<?([^)>\s]+)>?[^)]*\)")
_SPAN = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Heading:
    """`## Title`."""

    level: int
    title: str
    line: int


@dataclass(frozen=True)
class Fence:
    """A fenced block; `line` is where it opens."""

    info: str
    text: str
    line: int
    closed: bool
    mark: str = "```"


@dataclass(frozen=True)
class Prose:
    """One line of anything else."""

    text: str
    line: int


def scan(lines: Sequence[str], first: int) -> Iterator[Heading | Fence | Prose]:
    """The parts of `lines`, the first of which is line `first` of its file."""
    index = 0
    while index < len(lines):
        line = lines[index]
        opened = _OPEN.fullmatch(line)
        if opened and not (opened[1][0] == "`" and "`" in opened[2]):
            fence, index = _fence(lines, index, opened, first)
            yield fence
            continue
        heading = _HEADING.fullmatch(line)
        if heading:
            yield Heading(len(heading[1]), heading[2], first + index)
        else:
            yield Prose(line, first + index)
        index += 1


def _fence(
    lines: Sequence[str], start: int, opened: re.Match[str], first: int
) -> tuple[Fence, int]:
    mark, info = opened[1], opened[2]
    close = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*")
    for index in range(start + 1, len(lines)):
        if close.fullmatch(lines[index]):
            text = "".join(f"{line}\n" for line in lines[start + 1 : index])
            return Fence(info, text, first + start, closed=True, mark=mark), index + 1
    text = "".join(f"{line}\n" for line in lines[start + 1 :])
    return Fence(info, text, first + start, closed=False, mark=mark), len(lines)


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line and address of each link of a file, those in fences and code spans left out."""
    for part in scan(text.splitlines(), 1):
        if isinstance(part, Prose):
            for match in _LINK.finditer(_SPAN.sub("", part.text)):
                yield part.line, match[1]


def anchors(text: str) -> set[str]:
    """What `#…` may name in a file: its headings as GitHub spells them."""
    titles = [part.title for part in scan(text.splitlines(), 1) if isinstance(part, Heading)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
