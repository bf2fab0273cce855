"""How does an `http` probe identify itself?"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from sre.core.secrets import Secret
from sre.journey.build import USER_AGENT
from sre.journey.exchange import Request
from sre.journey.shop import origin_of

__all__ = ["Auth", "BasicAuth", "OAuth2", "instant"]


@dataclass(frozen=True)
class BasicAuth:
    """A user's name and password."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    username: str
    password: Secret


@dataclass(frozen=True)
class OAuth2:
    """A token from an authorization server, asked for in each run (client credentials).

    Attributes:
        token_url: absolute; its host must be on the allow-list too.
        parameters: further fields of the request for the token, an audience, say.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    token_url: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            origin_of(self.token_url)
        except ValueError as error:
            raise ValueError(f"token_url: {error}") from error

    def request(self, timeout: float) -> Request:
        """The request for a token. Raises UsageError: the secret cannot be read."""
        fields = {"grant_type": "client_credentials", **self.parameters}
        if self.scopes:
            fields["scope"] = " ".join(self.scopes)
        return Request(
            method="POST",
            url=self.token_url,
            headers=(
                ("User-Agent", USER_AGENT),
                ("Accept", "application/json"),
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Authorization", _basic(self.client_id, self.client_secret.reveal())),
            ),
            body=urlencode(fields).encode(),
            timeout=timeout,
            body_limit=2**20,
            credentials=False,
            keep_alive=False,
        )


@dataclass(frozen=True)
class Auth:
    """How the probe identifies itself at the origin of its own URL, and at no other."""

    basic: BasicAuth | None = None
    bearer: Secret | None = None
    oauth2: OAuth2 | None = None

    @property
    def instant(self) -> bool:
        """Whether its secrets are read without waiting for a disk or a program."""
        found = [self.bearer] if self.bearer is not None else []
        found += [self.basic.password] if self.basic is not None else []
        found += [self.oauth2.client_secret] if self.oauth2 is not None else []
        return all(instant(secret) for secret in found)

    def header(self, token: str | None) -> str | None:
        """The value of `Authorization`; `token` is the one that was asked for."""
        if self.basic is not None:
            return _basic(self.basic.username, self.basic.password.reveal())
        if self.bearer is not None:
            return f"Bearer {self.bearer.reveal()}"
        return None if token is None else f"Bearer {token}"


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def instant(secret: Secret) -> bool:
    """Whether reading it takes no time: no file, no program."""
    return not secret.reference.startswith(("${file:", "${cmd:"))
