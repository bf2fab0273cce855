"""How may a module authenticate and encrypt? The client options that all of Prometheus shares."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Size

__all__ = ["Authorization", "Base2Size", "BasicAuth", "HeaderValues", "OAuth2", "TlsConfig"]

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:iB|B)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


class Base2Size(Size):
    """Bytes as blackbox_exporter reads them: KB, MB and GB are powers of 1024 too."""

    expected = "a size such as '10MB'"

    @classmethod
    def parse(cls, text: object) -> Base2Size:
        """Raises ValueError when `text` is not a size."""
        match = _SIZE.fullmatch(text) if isinstance(text, str) else None
        if match:
            return cls(round(float(match[1]) * 1024 ** _POWERS[match[2]]))
        return cls(Size.parse(text))


@dataclass(frozen=True)
class TlsConfig:
    """`tls_config`: files are as seen from where the server runs."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    ca: str = ""
    cert: str = ""
    key: Secret | None = None
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: TlsVersion | None = None
    max_version: TlsVersion | None = None

    def __post_init__(self) -> None:
        if (self.ca and self.ca_file) or (self.cert and self.cert_file):
            raise ValueError("at most one of ca and ca_file, and of cert and cert_file")
        if self.key and self.key_file:
            raise ValueError("at most one of key and key_file")
        if bool(self.cert or self.cert_file) != bool(self.key or self.key_file):
            raise ValueError("a client certificate needs both, certificate and key")


@dataclass(frozen=True)
class BasicAuth:
    """`basic_auth`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    username: str = ""
    username_file: str = ""
    password: Secret | None = None
    password_file: str = ""

    def __post_init__(self) -> None:
        if (self.username and self.username_file) or (self.password and self.password_file):
            raise ValueError(
                "at most one of username and username_file, password and password_file"
            )


@dataclass(frozen=True)
class Authorization:
    """`authorization`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    type: str = "Bearer"
    credentials: Secret | None = None
    credentials_file: str = ""

    def __post_init__(self) -> None:
        if self.credentials and self.credentials_file:
            raise ValueError("at most one of credentials and credentials_file")
        if self.type.strip().lower() == "basic":
            raise ValueError('authorization type cannot be "basic"; use basic_auth')


@dataclass(frozen=True)
class OAuth2:
    """`oauth2`: a token by the client credentials grant, fetched before each probe."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    client_id: str = ""
    client_secret: Secret | None = None
    client_secret_file: str = ""
    scopes: tuple[str, ...] = ()
    token_url: str = ""
    endpoint_params: dict[str, str] = field(default_factory=dict)
    tls_config: TlsConfig = field(default_factory=TlsConfig)
    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: dict[str, tuple[Secret, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.client_id or not self.token_url:
            raise ValueError("oauth2 needs client_id and token_url")
        if self.client_secret and self.client_secret_file:
            raise ValueError("at most one of client_secret and client_secret_file")


@dataclass(frozen=True)
class HeaderValues:
    """One header of `http_headers`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    values: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    files: tuple[str, ...] = ()
