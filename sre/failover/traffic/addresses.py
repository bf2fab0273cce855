"""Which host and port does HOST:PORT mean?"""

from __future__ import annotations

import re

__all__ = ["host_and_port"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]'\";]+):(\d{1,5})")


def host_and_port(text: str) -> tuple[str, int]:
    """The two parts, an IPv6 address without its brackets.

    Raises:
        ValueError: it is something else.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError(f"{text!r} is no HOST:PORT, such as 10.0.0.1:5432 or [fd00::1]:5432")
    return found[1].strip("[]"), int(found[2])
