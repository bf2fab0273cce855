"""What must a kind of `databases:` do, so that its backups are like all others?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sre.core.clock import Deadline

__all__ = ["Database", "Dump", "Elsewhere", "Inside", "Source"]


@dataclass(frozen=True)
class Source:
    """What a database said about itself before a backup.

    Attributes:
        system_id: changes when it is made anew; backups of two never mix.
        bytes: about how much will be read, for progress.
        timeline: of its log now, where an engine has such a thing.
        as_of: everything until then (Unix seconds) was in it when it was asked; None: until now.
        about: what the manifest shall say of it under `dump`; JSON.
    """

    engine: str
    version: str
    system_id: str
    bytes: int
    timeline: int | None = None
    as_of: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The folder of its backups: system identifier and major version."""
        return f"{self.system_id}-{self.version.split('.')[0]}"


@dataclass(frozen=True)
class Inside:
    """What gives a tar in the program that seals.

    Attributes:
        module: of ours; its `pieces(argument, descriptors)` gives the tar piece by piece.
        argument: no secret is in it.
        descriptors: open files that it gets under the same numbers.
    """

    module: str = ""
    argument: str = ""
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Dump:
    """How to start an engine's own backup tool: it writes one tar to its standard output.

    Attributes:
        argv: the program with its arguments; with `inside` what was asked of the server, to be
            read in the manifest.
        env: where passwords travel; never in `argv`.
        last_member: the tar must end with this file, else the stream was cut.
        log_folder: files below it follow once the copy has stopped; empty when there is none.
        position: asks where the log ends now (`16/B374D848`; empty when nobody can tell); called
            in a thread while the tool runs. Raises SreError.
        pages: its files consist of pages, of which later backups may store the changed ones.
        native: the tool itself leaves out what has not changed since the parent.
        server: keep the tool's own manifest, on which it can build itself.
        hints: words of the tool when it fails, and what to do then.
        around: what must hold while the tool runs, entered right before it.
        inside: opens what gives the tar in the program that seals, so that no pipe lies between;
            None: `argv` is started.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    last_member: str
    log_folder: str = ""
    position: Callable[[Deadline], str] | None = None
    pages: bool = False
    native: bool = False
    server: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[object]] | None = None
    inside: Callable[[], AbstractContextManager[Inside]] | None = None


class Database(Protocol):
    """A kind of `databases:`; its fields are its configuration. Keeps no state."""

    def identify(self, deadline: Deadline) -> Source:
        """Ask the server what it is. Raises Transient, UsageError, MissingExtra."""
        ...

    def dump(self, source: Source, label: str) -> Dump:
        """The tool that fits the server's version. Raises UsageError when there is none."""
        ...

    def check_files(self, folder: Path, deadline: Deadline) -> tuple[str, ...]:
        """The engine's own check of restored files: what is wrong. Raises MissingExtra."""
        ...

    def serve(self, folder: Path, work: Path, deadline: Deadline) -> AbstractContextManager[str]:
        """Run restored files as a scratch server, cut off from the world; its dsn.

        `folder` is used up. It listens on a socket below `work` alone, archives nothing, and has
        ended when the context is left, even by kill -9 of this process. Raises CheckFailed when
        the files do not start, MissingExtra without the engine's programs.
        """
        ...


@runtime_checkable
class Elsewhere(Protocol):
    """A kind whose own tool keeps the data: what we store says which backup of it one is.

    Its dump is a small record. Under `dump` the manifest says, beside what it likes, how many
    bytes a restore writes: `kept_elsewhere`.
    """

    def missing_of(self, dumps: Sequence[Mapping[str, Any]], deadline: Deadline) -> list[str]:
        """Why the tool cannot restore each backup, of which the manifest's `dump` is given.

        Empty where it says that it can. Raises Transient.
        """
        ...

    def check_kept(self, deadline: Deadline) -> tuple[str, ...]:
        """Let the tool read everything that it keeps; what is wrong."""
        ...

    def fetch(self, folder: Path, deadline: Deadline) -> None:
        """Put the data in place of the record that was unpacked. Raises IntegrityError."""
        ...
