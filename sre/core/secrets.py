"""How does a secret travel without ever being printed?

A `Secret` is a reference (`${env:X}`, `${file:P}`, `${cmd:[…]}`) that is read when it is used and
whose text form is `<secret>`. A `Redactor` masks revealed values, and their encoded forms, in
every text that leaves the process.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sre.core.errors import UsageError

__all__ = ["MASK", "Redactor", "Secret", "redactor"]

MASK = "<secret>"


class Secret:
    """A value that is known by reference alone.

    `reveal()` reads it (again each time: keys rotate) and tells the process-wide redactor.
    It may raise UsageError (not set, not readable, command failed).
    """

    __slots__ = ("_read", "reference")

    def __init__(self, reference: str, read: Callable[[], str]) -> None:
        self.reference = reference
        self._read = read

    @classmethod
    def from_env(cls, name: str) -> Secret:
        """The value of an environment variable."""

        return cls(f"${{env:{name}}}", _Env(name))

    @classmethod
    def from_file(cls, path: str | Path) -> Secret:
        """The content of a file, without its last line break."""
        return cls(f"${{file:{path}}}", _File(str(path)))

    @classmethod
    def literal(cls, value: str) -> Secret:
        """For tests and values that another part has revealed; never for configuration."""
        return cls("<literal>", _Literal(value))

    def reveal(self) -> str:
        """The value itself. Never format it into a message, an argument list or a URL."""
        value = self._read()
        redactor.add(value)
        return value

    def reveal_unmasked(self) -> str:
        """The value of a reference that is no secret, such as a shop's address in `${env:URL}`."""
        return self._read()

    def __repr__(self) -> str:
        return f"Secret({self.reference})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    def __getstate__(self) -> tuple[str, Callable[[], str]]:
        return (self.reference, self._read)

    def __setstate__(self, state: tuple[str, Callable[[], str]]) -> None:
        self.reference, self._read = state

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415  the edge alone pays for pydantic

        return core_schema.no_info_plain_validator_function(
            cls._parse, json_schema_input_schema=core_schema.str_schema()
        )

    @classmethod
    def _parse(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        raise ValueError("expected exactly one reference such as '${env:NAME}', not a literal")


class _Env:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> str:
        value = os.environ.get(self.name)
        if value is None:
            raise UsageError(f"environment variable {self.name} is not set; export it")
        return value


class _File:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> str:
        try:
            return Path(self.path).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not text"
            raise UsageError(f"cannot read the secret file {self.path}: {why}") from error


class _Literal:
    def __init__(self, value: str) -> None:
        self.value = value

    def __call__(self) -> str:
        return self.value


class Redactor:
    """Masks known secret values, plain and encoded (percent, plus, HTML, JSON, base64)."""

    def __init__(self, parent: Redactor | None = None) -> None:
        self._parent = parent
        self._values: set[str] = set()
        self._shortest = sys.maxsize
        # values, and their forms: always replaced together, for several threads may ask
        self._made: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._ordered: tuple[int, tuple[str, ...]] = (-1, ())

    def add(self, value: str) -> None:
        """Mask `value` from now on. Empty values are ignored."""
        if value and value not in self._values:
            self._shortest = min(self._shortest, len(value))
            self._values.add(value)

    def mask(self, text: str) -> str:
        """`text` with every known form replaced by `<secret>`, longest first."""
        if len(text) < self._least():
            return text
        for form in self._longest_first(len(text)):
            if form in text:
                text = text.replace(form, MASK)
        return text

    def _least(self) -> int:
        own = self._shortest
        return own if self._parent is None else min(own, self._parent._least())

    def _make(self, length: int) -> int:
        """Make the forms of values that a text so long may hold: no form is shorter than its value.

        Most secrets of a run are longer than anything it says. Returns how many have forms now.
        """
        values, forms = self._made
        fresh = [value for value in self._values - values if len(value) <= length]
        if fresh:
            self._made = (values.union(fresh), forms.union(*map(_forms_of, fresh)))
        return len(self._made[0]) + (self._parent._make(length) if self._parent else 0)

    def _all_forms(self) -> frozenset[str]:
        return self._made[1] | self._parent._all_forms() if self._parent else self._made[1]

    def _longest_first(self, length: int) -> tuple[str, ...]:
        count = self._make(length)
        known, forms = self._ordered
        if known != count:
            forms = tuple(sorted(self._all_forms(), key=len, reverse=True))
            self._ordered = (count, forms)
        return forms


def _forms_of(value: str) -> set[str]:
    raw = value.encode("utf-8", "surrogateescape")
    percent = {
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
    }
    escaped = html.escape(value)
    entities = {
        escaped.replace("&quot;", double).replace("&#x27;", single)
        for double in ("&quot;", "&#34;")
        for single in ("&#x27;", "&#39;", "'")
    }
    lower = {re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), form) for form in percent}
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {form for form in forms | percent | lower | entities | _base64_of(raw) if form}


def _base64_of(raw: bytes) -> set[str]:
    """The value on its own, and as it looks inside a longer text at each of three alignments."""
    forms = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    forms |= {form.rstrip("=") for form in forms}
    for offset in range(3):
        head, tail = (offset * 4 + 2) // 3, -(-(offset + len(raw)) % 3)
        whole = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        inside = whole[head : len(whole) + tail] if tail else whole[head:]
        if len(inside) >= 8:
            forms |= {inside, inside.replace("+", "-").replace("/", "_")}
    return forms


redactor = Redactor()
"""Everything revealed in this process; the log formatter and every renderer ask it."""
