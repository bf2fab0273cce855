"""Which ways can a command end badly, and with which exit code?

    SreError                 70  internal error: a bug of ours
    ├── CheckFailed           1  the thing checked is bad
    ├── UsageError            2  wrong call
    │   ├── ConfigError       2  sre.yaml is wrong: every problem with file:line:col
    │   └── MissingExtra      2  a kind needs a package that is not installed
    ├── Untrusted             3  done but degraded, or a measurement not to be trusted
    ├── Transient             4  try again later: unreachable, throttled, retries spent
    ├── Refused               5  unsafe: guard, allow-list, missing approval
    ├── Locked                6  another run holds it
    ├── IntegrityError        7  corrupt, forged, wrong or missing key
    ├── OutcomeUnknown        8  incomplete or aborted: look before you act
    ├── Interrupted         130  Ctrl-C
    └── Terminated          143  SIGTERM

"Try again" (`Transient`, `Locked`) and "never again" are different types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CheckFailed",
    "ConfigError",
    "IntegrityError",
    "Interrupted",
    "Locked",
    "MissingExtra",
    "OutcomeUnknown",
    "Problem",
    "Refused",
    "SreError",
    "Terminated",
    "Transient",
    "Untrusted",
    "UsageError",
]


class SreError(Exception):
    """Root of all errors that a user may see. One line: what, where, what to do."""

    exit_code = 70


class CheckFailed(SreError):
    """The thing that was checked is bad: probe failed, gate failed, lint found errors."""

    exit_code = 1


class UsageError(SreError):
    """The command line or the input is wrong; running it again cannot help."""

    exit_code = 2


class MissingExtra(UsageError):
    """A kind needs a package that is not installed; the message names the extra."""


class Untrusted(SreError):
    """Done but degraded, or a measurement that must not be believed."""

    exit_code = 3


class Transient(SreError):
    """Temporary trouble and the retries are spent; a later run may succeed."""

    exit_code = 4


class Refused(SreError):
    """Unsafe: a guard, the allow-list, a missing approval. Nothing was touched."""

    exit_code = 5


class Locked(SreError):
    """Another run holds the lock; a later run may succeed."""

    exit_code = 6


class IntegrityError(SreError):
    """Corrupt, forged or truncated data, or a wrong or missing key."""

    exit_code = 7


class OutcomeUnknown(SreError):
    """Incomplete, or aborted by a guard: look before you act."""

    exit_code = 8


class Interrupted(SreError):
    """Ctrl-C; everything started has been cleaned up."""

    exit_code = 130


class Terminated(BaseException):
    """SIGTERM; everything started has been cleaned up.

    No SreError: it comes at any moment, and whoever catches what may go wrong there (a reload,
    a store) must not take the end of the process for it. KeyboardInterrupt is none either.
    """

    exit_code = 143


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a file: `file:line:col path: message`. Lines and columns count from 1."""

    file: str
    line: int
    col: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.col}"
        return f"{where} {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(UsageError):
    """All problems of a configuration at once, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
