"""What does one wing let the others know (last verified backup, proven capacity, last drill)?

Wings do not call each other. A fact is a small named JSON file in the state folder, replaced in
one step; whoever needs it reads it there, with the time it was published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, SystemClock
from sre.core.errors import IntegrityError, Transient, UsageError
from sre.core.files import replace_file, state_folder
from sre.core.masking import masked

__all__ = ["Fact", "Facts"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)*")


@dataclass(frozen=True)
class Fact:
    """A published fact. `at` is Unix seconds."""

    name: str
    value: Mapping[str, Any]
    at: float

    def age(self, clock: Clock | None = None) -> float:
        """Seconds since it was published; 0 if the clock went back."""
        return max(0.0, (clock or SystemClock()).wall() - self.at)


class Facts:
    """The facts in one state folder (default: $SRE_STATE, else ./.sre)."""

    def __init__(self, folder: Path | None = None, clock: Clock | None = None) -> None:
        self._folder = (folder or state_folder()) / "facts"
        self._clock = clock or SystemClock()

    def publish(self, name: str, value: Mapping[str, Any]) -> Fact:
        """Replace the fact `name`, such as `backup/orders`. Idempotent but for its time.

        Raises:
            UsageError: not a name.
            Transient: the disk refuses.
        """
        fact = Fact(name, value, self._clock.wall())
        content = {"name": name, "at": fact.at, "value": masked(value)}
        path = self._path(name)
        try:
            replace_file(path, json.dumps(content, indent=1).encode(), mode=0o644)
        except OSError as error:
            raise Transient(f"cannot write the fact {path}: {error.strerror}") from error
        return fact

    def read(self, name: str) -> Fact | None:
        """The fact, None when nobody has published it.

        Raises:
            IntegrityError: its file is not what `publish` wrote.
        """
        path = self._path(name)
        try:
            found = json.loads(path.read_bytes())
            return Fact(str(found["name"]), dict(found["value"]), float(found["at"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"cannot read the fact {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"the fact {path} is damaged; remove it and run what publishes it again"
            ) from error

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """The names of all facts that begin with `prefix`, sorted."""
        found = (
            str(path.relative_to(self._folder).with_suffix(""))
            for path in self._folder.rglob("*.json")
            if not path.name.startswith(".")
        )
        return tuple(sorted(name for name in found if name.startswith(prefix)))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a fact's name; expected one like 'backup/orders'")
        return self._folder / f"{name}.json"
