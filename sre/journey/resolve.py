"""Which addresses does a name have, and how long may it take to know?"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["Resolver", "Unresolved", "system_resolve", "unanswered", "within"]


class Unresolved(Exception):  # noqa: N818  a finding about the target, not an error of ours
    """The name has no address, or no answer came in time."""


class Resolver(Protocol):
    """Turns a name into IP addresses, best first. Raises OSError when there are none."""

    def __call__(self, host: str, port: int) -> list[str]: ...


def within(call: Callable[[], list[str]], timeout: float | None, host: str) -> list[str]:
    """`call` in a thread of its own: the C library's resolver knows no deadline."""
    box: list[list[str] | OSError | UnicodeError] = []

    def work() -> None:
        try:
            box.append(call())
        except (OSError, UnicodeError) as error:  # a label too long for DNS is a UnicodeError
            box.append(error)

    if timeout is None:
        work()
    else:
        thread = threading.Thread(target=work, name=f"resolve {host}", daemon=True)
        thread.start()
        thread.join(timeout)
    if not box:
        raise unanswered(host, timeout or 0.0)
    answer = box[0]
    if isinstance(answer, Exception):
        raise Unresolved(f"{host}: {getattr(answer, 'strerror', None) or answer}")
    return answer


def unanswered(host: str, seconds: float) -> Unresolved:
    """DNS gave no answer in time."""
    return Unresolved(f"{host}: no answer from DNS within {seconds:.1f} s")


def system_resolve(host: str, port: int) -> list[str]:
    """The C library's answer (files, DNS), IPv4 first as published, once each."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    names = [str(info[4][0]).partition("%")[0] for info in infos]
    return sorted(dict.fromkeys(names), key=lambda name: ":" in name)
