"""How do the results of `sre probe run` reach the file that a CI job reads?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sre.core.errors import UsageError

if TYPE_CHECKING:
    from sre.probes.runner import Result

__all__ = ["junit_file"]


@contextmanager
def junit_file(path: Path | None) -> Iterator[Callable[[Sequence[Result]], None]]:
    """Removes an old file, for its verdict must not outlive a run that never ended; gives a
    function that writes the new one in one step. Does nothing without a path.

    Raises:
        UsageError: the file cannot be written.
    """
    began = time.monotonic()

    def write(results: Sequence[Result]) -> None:
        from sre.core.files import replace_file  # noqa: PLC0415  only when it is asked for
        from sre.probes.junit import as_junit  # noqa: PLC0415

        if path is not None:
            text = as_junit(results, time.monotonic() - began)
            with _usable(path):
                replace_file(path, text.encode("utf-8", "replace"), mode=0o644)

    if path is not None:
        with _usable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
    yield write


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"--junit {path}: {error.strerror}; name another file") from error
