"""Who may talk to our HTTP server, and over which TLS? (the file format of exporter-toolkit)"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import ssl
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from sre.core.config import Problems, decode, read_tree
from sre.core.errors import MissingExtra, UsageError

__all__ = ["Gate", "TlsServerConfig", "WebConfig", "load_web_config"]

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_NOBODY = "$2b$10$pb5k5p1DygKp812RREkfi.pOBODcSxm2ExDki9SSH9a6EtdbdMPEi"
"""Checked for unknown users, so that they take as long as known ones."""


@dataclass(frozen=True)
class TlsServerConfig:
    """`tls_server_config`: files are relative to the file that names them."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    cert_file: str
    key_file: str
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    client_auth_type: Literal["NoClientCert", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: str | None = None

    def __post_init__(self) -> None:
        if self.client_auth_type != "NoClientCert" and self.client_ca_file is None:
            raise ValueError("client_ca_file must name the authority of the clients")

    def context(self, folder: Path) -> ssl.SSLContext:
        """What the server shakes hands with. Raises UsageError when a file is no good."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = _VERSIONS[self.min_version]
        try:
            made.load_cert_chain(folder / self.cert_file, folder / self.key_file)
            if self.client_auth_type != "NoClientCert":
                made.load_verify_locations(folder / (self.client_ca_file or ""))
                made.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            files = f"{self.cert_file}, {self.key_file}, {self.client_ca_file or '-'}"
            raise UsageError(f"tls_server_config: cannot use {files}: {error}") from error
        return made


@dataclass(frozen=True)
class WebConfig:
    """The file of `--web.config.file`. `basic_auth_users` maps names to bcrypt hashes."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    tls_server_config: TlsServerConfig | None = None
    basic_auth_users: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for user, hashed in self.basic_auth_users.items():
            if not _BCRYPT.fullmatch(hashed):
                raise ValueError(f"the password of {user!r} must be a bcrypt hash (htpasswd -nB)")


def load_web_config(path: Path) -> tuple[ssl.SSLContext | None, Gate | None]:
    """TLS and the gate that a web configuration asks for; None where it does not.

    Raises:
        ConfigError: everything that is wrong with it.
        UsageError: a file that it names is no good.
        MissingExtra: it has users, and bcrypt is not installed.
    """
    problems = Problems()
    found = decode(WebConfig, read_tree(path), where="", problems=problems)
    problems.raise_if_any()
    config = found or WebConfig()
    tls = config.tls_server_config
    context = tls.context(path.parent) if tls is not None else None
    return context, Gate(config.basic_auth_users) if config.basic_auth_users else None


class Gate:
    """Lets known users in. A good password is checked once: bcrypt takes 70 ms on purpose."""

    def __init__(self, users: dict[str, str]) -> None:
        try:
            import bcrypt  # noqa: PLC0415  an extra that only servers with users need
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "basic_auth_users needs the package 'bcrypt': pip install 'sre[web]'"
            ) from error
        self._check = bcrypt.checkpw
        self._users = users
        self._salt = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    def admits(self, header: str | None) -> bool:
        """Whether an `Authorization` header names a user with that user's password."""
        scheme, _, encoded = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, password = b64decode(encoded, validate=True).decode().partition(":")
        except (NotBase64, UnicodeDecodeError, ValueError):
            return False
        proof = hmac.digest(self._salt, f"{user}\0{password}".encode(), hashlib.sha256)
        if proof in self._known:
            return True
        hashed = self._users.get(user, _NOBODY).encode()
        good = self._check(password.encode()[:72], hashed) and user in self._users and bool(colon)
        if good:
            self._known.add(proof)
        return good
