"""Which cookies does one customer hold, and which go with a request? (pure)

Only what is plain: cookies of the host that set them, without an end that could matter in a run.
Whatever else a shop sets is libcurl's to understand.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

__all__ = ["Jar"]

_COOKIE = re.compile(
    r"(?!__)([A-Za-z0-9!#$%&'*+.^_`|~-]+)=([!#-+\--:<-\[\]-~]*)"
    r"((?:; *(?:path=/[A-Za-z0-9._~/-]*|httponly|samesite=(?:lax|strict|none)"
    r"|max-age=[0-9]{5,9}|expires=[A-Za-z]{3}, [0-9A-Za-z :-]{20,24}))*);?",
    re.IGNORECASE,
)
_PATH = re.compile(r"; *path=([^;]*)", re.IGNORECASE)
_AGE = re.compile(r"; *max-age=([0-9]+)", re.IGNORECASE)
_EXPIRES = re.compile(r"; *expires=([^;]*)", re.IGNORECASE)
_LONG = 86_400  # no run of a journey lasts so long: such a cookie never ends
_MOST = 40
_LONGEST = 2048


class Jar:
    """The cookies of one customer, in the order in which libcurl sends them."""

    __slots__ = ("_cookies", "_everywhere", "_said")

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], str] = {}
        self._cookies: dict[tuple[str, str, str], tuple[str, bool]] = {}
        self._everywhere = True  # no cookie has a path: all pages of a host are told the same

    def __bool__(self) -> bool:
        return bool(self._cookies)

    def clear(self) -> None:
        """The next customer is another one."""
        self._cookies.clear()
        self._said.clear()
        self._everywhere = True

    def header(self, host: str, path: str) -> str:
        """What `Cookie` says to a page of `host`; empty: no such header."""
        path = "/" if self._everywhere else path
        said = self._said.get((host, path))
        if said is not None:
            return said
        found = [
            (cookie_path, name, value)
            for (where, cookie_path, name), (value, _) in self._cookies.items()
            if where == host and _covers(cookie_path, path)
        ]
        if len(found) > 1:  # longest path first, then longest name, then the older one
            found.sort(key=lambda cookie: (-len(cookie[0]), -len(cookie[1])))
        said = "; ".join([f"{name}={value}" for _, name, value in found])
        self._said[host, path] = said
        return said

    def keep(self, host: str, path: str, lines: list[str], date: str | None) -> bool:
        """Take the values of Set-Cookie in; False, and nothing is taken: one is not plain.

        Args:
            path: of the request.
            date: what the answer's own clock says.
        """
        taken = dict(self._cookies)
        for line in lines:
            match = _COOKIE.fullmatch(line)
            if match is None or len(line) > _LONGEST or not _lasts(match[3], date):
                return False
            given = _PATH.findall(match[3])
            if len(given) > 1:
                return False
            where = _trimmed(given[0]) if given else path[: path.rfind("/")] or "/"
            taken[host, where, match[1]] = (match[2], "httponly" in match[3].lower())
        if len(taken) > _MOST:
            return False
        self._cookies = taken
        self._everywhere = all(where == "/" for _, where, _ in taken)
        self._said.clear()
        return True

    def lines(self) -> list[str]:
        """The cookies as libcurl takes them (Netscape's format)."""
        return [
            f"{'#HttpOnly_' if hidden else ''}{host}\tFALSE\t{path}\tFALSE\t0\t{name}\t{value}"
            for (host, path, name), (value, hidden) in self._cookies.items()
        ]


def _covers(cookie: str, path: str) -> bool:
    if cookie == "/":
        return True
    return path.startswith(cookie) and path[len(cookie) : len(cookie) + 1] in ("", "/")


def _trimmed(path: str) -> str:
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


def _lasts(attributes: str, date: str | None) -> bool:
    """It has no end, or one that no run will see."""
    if any(int(age) < _LONG for age in _AGE.findall(attributes)):
        return False
    for text in _EXPIRES.findall(attributes):
        try:
            left = parsedate_to_datetime(text) - parsedate_to_datetime(date or "")
        except (ValueError, TypeError, OverflowError):
            return False
        if left.total_seconds() < _LONG:
            return False
    return True
