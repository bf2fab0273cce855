"""Which paths of a log belong to a step's address? (pure)

What a step writes out is an example: `/p/mug` stands for every product, as `/p/${slug}` does.
Segments that look like one of many match any segment; other text matches itself alone. An address
of which nothing is literal (`${product}`) has no pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from sre.core.routes import is_identity
from sre.journey.shop import origin_of
from sre.journey.template import Template

__all__ = ["Pattern", "pattern_of"]

_ANY = "[^/]+"
_END = re.compile(r"[?#;]")
_ORIGIN = re.compile(r"(https?://[^/]+)(/?.*)", re.DOTALL | re.IGNORECASE)
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Pattern:
    """The paths of one step.

    Attributes:
        label: for people: `/p/:id`.
        expression: a regular expression for the whole of a normal path, without groups.
        literal: characters that are given; of two patterns that match, the more literal one wins.
    """

    label: str
    expression: str
    literal: int


@dataclass(frozen=True)
class _Hole:
    """A `${…}`; `options` if it is a choice."""

    options: tuple[str, ...] = ()


_Piece = str | _Hole


def pattern_of(
    url: Template, variables: Mapping[str, Template], base_url: str
) -> tuple[Pattern | None, str]:
    """The pattern of a step's address; or None, and why there is none.

    Args:
        variables: those whose text stands in the declaration, put in the place of their names.
    """
    pieces = _cut(_pieces(url, variables, 0))
    lead = ""
    if pieces and isinstance(pieces[0], str):
        pieces[0], why = _local(pieces[0], base_url)
        if why:
            return None, why
        if not pieces[0].startswith("/"):
            pieces[0] = "/" + re.sub(r"^(?:\.{1,2}/)+|^\./?$", "", pieces[0])
            lead = "(?:/.*)?"
    elif pieces:
        pieces, lead = pieces[1:], "(?:/.*)?"
        if pieces and isinstance(pieces[0], str) and not pieces[0].startswith("/"):
            pieces[0] = pieces[0].partition("/")[1] + pieces[0].partition("/")[2]
    found = _pattern(_segments(pieces), lead)
    if found is None or (lead and not found.literal):
        return None, "its address is wholly from a variable, or relative to the page before"
    return found, ""


def _pieces(url: Template, variables: Mapping[str, Template], depth: int) -> list[_Piece]:
    found: list[_Piece] = []
    for part in url.parts:
        if isinstance(part, str):
            found.append(part)
            continue
        known = variables.get(getattr(part, "name", ""))
        if known is not None and depth < _MAX_DEPTH:
            found += _pieces(known, variables, depth + 1)
        else:
            found.append(_Hole(tuple(getattr(part, "options", ()))))
    joined: list[_Piece] = []
    for piece in found:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _cut(pieces: list[_Piece]) -> list[_Piece]:
    """Without what comes after the path."""
    kept: list[_Piece] = []
    for piece in pieces:
        end = _END.search(piece) if isinstance(piece, str) else None
        if end and isinstance(piece, str):
            return [*kept, piece[: end.start()]] if end.start() or not kept else kept
        kept.append(piece)
    return kept


def _local(text: str, base_url: str) -> tuple[str, str]:
    """The path of an absolute address of this shop; or why it is none of ours."""
    match = _ORIGIN.match(text)
    if match is None:
        return text, ""
    try:
        same = origin_of(match[1]) == origin_of(base_url)
    except ValueError:
        same = False
    return (match[2] or "/", "") if same else (text, "it goes to another host")


def _segments(pieces: list[_Piece]) -> list[list[_Piece]]:
    segments: list[list[_Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, _Hole):
            segments[-1].append(piece)
            continue
        for number, text in enumerate(piece.split("/")):
            if number:
                segments.append([])
            if text:
                segments[-1].append(unquote(text))
    return [segment for segment in segments if segment]


def _pattern(segments: list[list[_Piece]], lead: str) -> Pattern | None:
    if not segments:
        return None if lead else Pattern("/", "/", 1)
    labels, parts, literal, before = ["…"] if lead else [], [lead], 0, ""
    for segment in segments:
        label, part, characters = _segment(segment, before)
        labels.append(label)
        parts.append("/" + part)
        literal += characters
        before = segment[0] if len(segment) == 1 and isinstance(segment[0], str) else ""
    if not literal:
        return None
    return Pattern(f"{'' if lead else '/'}{'/'.join(labels)}", "".join(parts), literal)


def _segment(segment: list[_Piece], before: str) -> tuple[str, str, int]:
    """Label, expression and literal characters of one segment."""
    only = segment[0] if len(segment) == 1 else None
    if isinstance(only, str):
        if is_identity(only, before):
            return ":id", _ANY, 0
        return only, re.escape(only), len(only)
    if isinstance(only, _Hole):
        if not only.options or any(is_identity(one, before) for one in only.options):
            return ":id", _ANY, 0
        shortest = min(len(one) for one in only.options)
        text = "|".join(re.escape(one) for one in only.options)
        return f"({'|'.join(only.options)})", f"(?:{text})", shortest
    label = "".join(one if isinstance(one, str) else ":id" for one in segment)
    text = "".join(re.escape(one) if isinstance(one, str) else _ANY for one in segment)
    return label, text, sum(len(one) for one in segment if isinstance(one, str))
