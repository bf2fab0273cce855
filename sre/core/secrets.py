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
        self._forms: dict[str, None] = {}

    def add(self, value: str) -> None:
        """Mask `value` from now on. Empty values are ignored."""
        if not value or value in self._forms:
            return
        raw = value.encode("utf-8", "surrogateescape")
        encoded = base64.b64encode(raw).decode()
        forms = [
            value,
            quote(value, safe="", errors="replace"),
            quote(value, errors="replace"),
            quote_plus(value, errors="replace"),
            html.escape(value),
            json.dumps(value)[1:-1],
            encoded,
            encoded.rstrip("="),
            base64.urlsafe_b64encode(raw).decode(),
        ]
        self._forms.update(dict.fromkeys(form for form in forms if form))

    def mask(self, text: str) -> str:
        """`text` with every known form replaced by `<secret>`, longest first."""
        for form in sorted(self._all_forms(), key=len, reverse=True):
            if form in text:
                text = text.replace(form, MASK)
        return text

    def _all_forms(self) -> set[str]:
        own = set(self._forms)
        return own | self._parent._all_forms() if self._parent else own


redactor = Redactor()
"""Everything revealed in this process; the log formatter and every renderer ask it."""
