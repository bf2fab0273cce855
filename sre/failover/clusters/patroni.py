"""What does `kind: patroni` of `clusters:` say: PostgreSQL that Patroni leads?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from sre.core.config import STRICT
from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.failover.engine import Engine, Ground
from sre.failover.nodes import Service

if TYPE_CHECKING:
    from sre.failover.clusters.pat.sheet import Rules

__all__ = ["PatroniCluster", "PatroniNode"]

_MEMBER = re.compile(r"[^\x00-\x20\x7f]{1,200}")


@dataclass(frozen=True)
class PatroniNode:
    """What an entry of `nodes:` says of a member.

    Attributes:
        api: its REST API, such as http://10.0.0.1:8008.
        member: what Patroni calls it; the node's name without.
        data_dir: where its data lies on the node; needed to fence it through `control`.
        bin_dir: where PostgreSQL's programs lie there; found on the PATH without.
        stop: a program that ends Patroni there, for good: [systemctl, disable, --now, patroni].
            It runs on the node as its `control` runs programs. Without, `service:` of the control
            is Patroni's unit.
        start: a program that starts Patroni there again.
    """

    __pydantic_config__: ClassVar = STRICT
    api: str
    member: str = ""
    data_dir: str = ""
    bin_dir: str = ""
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_api(self.api)
        if self.member and not _MEMBER.fullmatch(self.member):
            raise ValueError(f"member {self.member!r} cannot be the name of a Patroni member")
        for name in ("data_dir", "bin_dir"):
            value = getattr(self, name)
            if value and (not value.startswith("/") or not value.strip("/")):
                raise ValueError(f"{name} must be an absolute path on the node, not {value!r}")
        for name in ("stop", "start"):
            value = getattr(self, name)
            if value and not value[0].strip():
                raise ValueError(f"{name} begins with the name of a program: [systemctl, …]")


def check_api(url: str) -> None:
    """Raises ValueError when it is not the address of a REST API."""
    example = "such as http://10.0.0.1:8008"
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError as error:
        raise ValueError(f"api {url!r} is not an address ({error}); write one {example}") from None
    if found.username is not None or found.password is not None:
        raise ValueError("api has a login in it; give it as user: and password: of the cluster")
    if found.scheme not in ("http", "https") or not found.hostname or port == 0:
        raise ValueError(f"api must be an address {example}, not {url!r}")
    if found.path.strip("/") or found.query or found.fragment:
        raise ValueError(f"api ends with the port, {example}; not {url!r}")
    if any(not "!" <= char <= "~" for char in url):
        raise ValueError(f"api {url!r} has characters that no address has")


@dataclass(frozen=True)
class PatroniCluster:
    """A cluster that Patroni leads; everything is asked of Patroni, nothing is done around it.

    Attributes:
        scope: Patroni's name of the cluster; when given, members of another one are refused.
        user: of the REST API's authentication.
        password: of the REST API's authentication.
        ca: a file of certificates that the REST APIs' own are checked against.
        verify: whether they are checked at all.
        cert: a client certificate, where the REST API wants one (PEM, with its key or beside it).
        key: the key of `cert`, when it is another file.
        timeout: how long Patroni may take to come to an end with what it was asked to do.
    """

    NODE: ClassVar[type[Any]] = PatroniNode
    __pydantic_config__: ClassVar = STRICT
    scope: str = ""
    user: Secret | None = None
    password: Secret | None = None
    ca: str = ""
    verify: bool = True
    cert: str = ""
    key: str = ""
    timeout: Duration = Duration(30)

    def __post_init__(self) -> None:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together; give both, or neither")
        if self.ca and not self.verify:
            raise ValueError("ca without verify; take one of them out")
        if self.key and not self.cert:
            raise ValueError("key without cert; give the certificate as well")
        if not 1 <= float(self.timeout) <= 3600:
            raise ValueError("timeout must be from 1s to 1h")

    def service(self, own: Any) -> Service:
        """The PostgreSQL below Patroni."""
        return Service("postgres", own.data_dir, own.bin_dir)

    def rules(self, ground: Ground) -> Rules:
        """What decisions need of the declaration."""
        from sre.failover.clusters.pat.sheet import Rules as Made  # noqa: PLC0415  its decisions

        return Made(
            members={each.name: each.own.member or each.name for each in ground.nodes},
            scope=self.scope,
            timeout=float(self.timeout),
            stops=frozenset(each.name for each in ground.nodes if _stops(each)),
            starts=frozenset(each.name for each in ground.nodes if _starts(each)),
            fences=frozenset(each.name for each in ground.nodes if each.fence),
        )

    def engine(self, ground: Ground) -> Engine:
        """The cluster at work."""
        from sre.failover.clusters.pat.engine import PatroniEngine  # noqa: PLC0415  requests

        return PatroniEngine(ground, self)


def _stops(node: Any) -> bool:
    """Whether Patroni itself can be ended there, and PostgreSQL below it."""
    return bool(node.own.data_dir) and (bool(node.own.stop) or _unit(node))


def _starts(node: Any) -> bool:
    return bool(node.own.data_dir) and (bool(node.own.start) or _unit(node))


def _unit(node: Any) -> bool:
    """A control without the notion of a unit (kubectl, a script) stops what it was told to."""
    return getattr(node.control, "unit", None) != ""
