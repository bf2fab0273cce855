"""What does a user read when the client library of a kind is not installed?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sre.core.errors import MissingExtra

__all__ = ["needs"]


@contextmanager
def needs(kind: str, extra: str) -> Iterator[None]:
    """Import a driver inside: `with needs("redis", "databases"): from ... import ...`.

    A kind's file loads without its driver, so that its numbers and keys can be described anywhere.

    Raises:
        MissingExtra: a third-party package is missing; says which extra brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package == "sre":
            raise
        raise MissingExtra(
            f"probe kind {kind!r} needs the package {package!r}: pip install 'sre[{extra}]'"
        ) from error
