"""What is one act of the demo: the very command that a user would type, and what came of it?"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sre.core.clock import Clock, Deadline
from sre.core.process import run
from sre.demo.stage import Stage

__all__ = ["Act", "Teller"]

_LIMIT = 180.0

Look = Callable[[dict[str, Any]], Iterator[str]]


@dataclass(frozen=True)
class Act:
    """One part of the story.

    Attributes:
        title: for people.
        command: as a user would type it, beside the demo's folder.
        expected, code: the exit code that the story needs, and the one that came.
        lines: what to look at, drawn from the command's own JSON.
        data: that JSON.
    """

    title: str
    command: str
    expected: int
    code: int
    seconds: float
    lines: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def as_planned(self) -> bool:
        """The exit code is the one that the story needs."""
        return self.code == self.expected


@dataclass(frozen=True)
class Teller:
    """Plays commands on a stage; `say` is told what is going on, for a progress line."""

    stage: Stage
    say: Callable[[str], None]
    clock: Clock

    def play(
        self,
        title: str,
        words: Sequence[str],
        expected: int,
        look: Look,
        env: Mapping[str, str] | None = None,
        shown: Sequence[str] | None = None,
    ) -> Act:
        """Run `sre WORDS` against the demo's declaration.

        Args:
            look: makes the lines to show from the command's JSON.
            shown: the words to show, where the real ones are too long.
        """
        self.say(f"{title}: sre {' '.join(shown or words)}")
        config = self.stage.config
        argv = [sys.executable, "-m", "sre", *words, "--config", str(config.resolve())]
        done = run(
            [*argv, "--format", "json"],
            Deadline.after(_LIMIT, self.clock),
            env={"SRE_STATE": str(self.stage.state.resolve()), "PATH": self._path(), **(env or {})},
        )
        command = " ".join(["sre", *(shown or words), "--config", str(config)])
        try:
            data = json.loads(done.stdout)
            lines = tuple(look(data))
        except (ValueError, KeyError, TypeError):
            data, lines = {}, tuple(done.stderr.strip().splitlines()[-5:])
        return Act(title, command, expected, done.returncode, done.seconds, lines, data)

    def _path(self) -> str:
        """PATH with an `sre` of this interpreter and this database's own programs."""
        folder = (self.stage.folder / "bin").resolve()
        folder.mkdir(exist_ok=True)
        launcher = folder / "sre"
        if not launcher.exists():
            launcher.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m sre \"$@\"\n")
            launcher.chmod(0o755)
        system = os.environ.get("PATH", "")
        return os.pathsep.join([str(folder), system, str(Path(self.stage.postgres.bin_dir))])
