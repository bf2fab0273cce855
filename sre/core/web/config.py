"""What does `--web.config.file` say, and what when it changes? (the format of exporter-toolkit)"""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sre.core.clock import Clock, SystemClock
from sre.core.config import Problems, decode, read_tree
from sre.core.errors import SreError
from sre.core.secrets import redactor
from sre.core.units import Duration
from sre.core.web.gate import Pace, Users
from sre.core.web.tls import TlsServerConfig
from sre.core.yamlread import read_text

__all__ = ["Access", "HttpServerConfig", "RateLimit", "Web", "WebConfig", "load_web_config"]

log = logging.getLogger(__name__)

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Headers that may be set, and their values where only some make sense."""


@dataclass(frozen=True)
class HttpServerConfig:
    """`http_server_config`. This server speaks HTTP/1.1 whatever `http2` says.

    Attributes:
        headers: added to every answer; an empty one is not.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    http2: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if name not in _HEADERS:
                raise ValueError(f"the header {name!r} cannot be set; known: {', '.join(_HEADERS)}")
            if value and _HEADERS[name] and value not in _HEADERS[name]:
                raise ValueError(f"{name} must be one of {', '.join(_HEADERS[name])}")
            if not value.isprintable():
                raise ValueError(f"{name} must be one line of text")


@dataclass(frozen=True)
class RateLimit:
    """`rate_limit`: one request in each `interval` (0: no limit), `burst` of them at once."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    interval: Duration = Duration(0.0)
    burst: int = 1

    def __post_init__(self) -> None:
        if self.interval > 0 and self.burst < 1:
            raise ValueError("burst must be at least 1, or nothing is ever answered")


@dataclass(frozen=True)
class WebConfig:
    """The file of `--web.config.file`. `basic_auth_users` maps names to bcrypt hashes."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig | None = None
    basic_auth_users: dict[str, str] | None = None
    rate_limit: RateLimit | None = None

    def __post_init__(self) -> None:
        for user, hashed in (self.basic_auth_users or {}).items():
            if not _BCRYPT.fullmatch(hashed):
                raise ValueError(f"the password of {user!r} must be a bcrypt hash (htpasswd -nB)")


@dataclass(frozen=True)
class Access:
    """What a web configuration comes to.

    Attributes:
        tls: None for plain HTTP.
        users: None when everybody may come in.
    """

    config: WebConfig = field(default_factory=WebConfig)
    tls: ssl.SSLContext | None = None
    users: Users | None = None
    pace: Pace | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def knows(self) -> bool:
        """Whether whoever gets an answer has said who they are."""
        certified = self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        return self.users is not None or certified

    def lets_in(self, connection: ssl.SSLSocket) -> bool:
        """Whether the certificate of a client, already verified, is one that may come in."""
        tls = self.config.tls_server_config
        return tls is None or tls.lets_in(connection.getpeercert())


def load_web_config(path: Path, clock: Clock | None = None) -> Access:
    """Read a web configuration with the files that it names.

    Raises:
        ConfigError: everything that is wrong with it.
        UsageError: a file that it names is no good.
        MissingExtra: it has users, and bcrypt is not installed.
    """
    config = _read(path)
    tls, http = config.tls_server_config, config.http_server_config or HttpServerConfig()
    limit = config.rate_limit
    return Access(
        config,
        tls.context(path.parent) if tls is not None else None,
        Users(config.basic_auth_users) if config.basic_auth_users else None,
        Pace(limit.interval, limit.burst, clock or SystemClock())
        if limit is not None and limit.interval > 0
        else None,
        tuple((name, value) for name, value in http.headers.items() if value),
    )


def _read(path: Path) -> WebConfig:
    lines = read_text(path).splitlines()
    if not any(line.strip() and not line.lstrip().startswith("#") for line in lines):
        return WebConfig()  # exporter-toolkit takes an empty file for no wishes
    problems = Problems()
    found = decode(WebConfig, read_tree(path), where="", problems=problems)
    problems.raise_if_any()
    return found or WebConfig()


class Web:
    """The web configuration as it is now: read again when it, or a file it names, has changed.

    A file that is no good changes nothing: what was good goes on, and `changed` is told.

    Args:
        path: None: plain HTTP for everybody.
        changed: told whether the last reading succeeded.
    """

    def __init__(
        self,
        path: Path | None = None,
        clock: Clock | None = None,
        changed: Callable[[bool], None] = lambda _good: None,
    ) -> None:
        self._path, self._clock, self._changed = path, clock, changed
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] = ()
        self._access = Access()
        self.reload()

    def reload(self) -> None:
        """Read it now. Raises what `load_web_config` raises; the old one stays then."""
        if self._path is None:
            return
        with self._lock:
            self._load(self._path)

    def now(self) -> Access:
        """What holds for the connection or request that has just come."""
        if self._path is not None:
            with self._lock:
                if self._stamp(self._path) != self._seen:
                    try:
                        self._load(self._path)
                    except SreError as error:
                        log.error(
                            "the web configuration is not used, the old one stays:\n%s",
                            redactor.mask(str(error)),
                        )
        return self._access

    def _load(self, path: Path) -> None:
        self._seen = self._stamp(path)
        try:
            self._access = load_web_config(path, self._clock)
        except SreError:
            self._changed(False)  # noqa: FBT003  the whole message
            raise
        self._seen = self._stamp(path)
        self._changed(True)  # noqa: FBT003

    def _stamp(self, path: Path) -> tuple[object, ...]:
        tls = self._access.config.tls_server_config
        files = (path, *(tls.files(path.parent) if tls is not None else ()))
        return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return str(file), 0, 0, 0
    return str(file), found.st_ino, found.st_size, found.st_mtime_ns
