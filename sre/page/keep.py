"""How does the history survive a restart, a crash and a damaged file?

One compressed JSON file, replaced in one step, in the state folder. Whoever holds the lock beside
it writes; a second process keeps its history to itself.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import zlib
from pathlib import Path

import orjson

from sre.core.errors import SreError
from sre.core.files import replace_file, state_folder
from sre.core.lock import exclusive
from sre.page.history import History

__all__ = ["Keeper", "encoded"]

log = logging.getLogger(__name__)

_DAMAGE = (
    OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
)  # fmt: skip
"""What reading a file that is not ours may raise."""


class Keeper:
    """Reads and writes the history of one process.

    Attributes:
        notes: what went wrong, for the page: a sentence each.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or state_folder()) / "status" / "history.json.gz"
        self.damaged = ""
        self.trouble = ""
        self._held = contextlib.ExitStack()
        self._writes = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know about the history."""
        return tuple(note for note in (self.damaged, self.trouble) if note)

    def open(self) -> History:
        """The history as it was, or a new one, with a note, when there is none to be read."""
        try:
            self._held.enter_context(exclusive(self.path.with_name("lock"), "the status page"))
            self._writes = True
        except SreError as error:
            self._complain("The history is not kept: it is in use or cannot be written.", error)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return History()
        except OSError as error:
            self._complain("The history could not be read and is not kept.", error)
            self._writes = False
            return History()
        try:
            return History.from_data(orjson.loads(gzip.decompress(data)))
        except _DAMAGE as error:
            self._set_aside(error)
            return History()

    def save(self, data: bytes) -> None:
        """Replace the file; what goes wrong is logged and noted, never raised."""
        if not self._writes:
            return
        try:
            replace_file(self.path, gzip.compress(data, 3, mtime=0), mode=0o600)
            self.trouble = ""
        except OSError as error:
            self._complain("The history cannot be saved; a restart would forget it.", error)

    def close(self) -> None:
        """Let another process write."""
        self._writes = False
        self._held.close()

    def _set_aside(self, error: Exception) -> None:
        """Keep what cannot be read for whoever wants to look, and begin anew."""
        aside = self.path.with_name("history.damaged")
        log.error("%s is damaged (%s): a new history begins; see %s", self.path, error, aside)
        self.damaged = "The history was damaged: counts and times begin anew with this start."
        if self._writes:
            with contextlib.suppress(OSError):
                self.path.replace(aside)

    def _complain(self, words: str, error: Exception) -> None:
        if self.trouble != words:
            log.warning("%s %s", words, error)
        self.trouble = words


def encoded(history: History) -> bytes:
    """The history as JSON."""
    return orjson.dumps(history.as_data())
