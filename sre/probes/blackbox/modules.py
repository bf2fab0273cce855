"""What may a module of blackbox_exporter say? Its own keys, in its own spelling.

Defaults are blackbox_exporter's. Expressions are RE2's; they are checked where the file is read
(`declare.py`) and compiled when they are used (`regexp.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.probes.blackbox.clientoptions import (
    Authorization,
    Base2Size,
    BasicAuth,
    HeaderValues,
    OAuth2,
    TlsConfig,
)

__all__ = [
    "Authorization",
    "BasicAuth",
    "DnsOptions",
    "DnsValidator",
    "GrpcOptions",
    "HeaderMatch",
    "HeaderValues",
    "HttpOptions",
    "IcmpOptions",
    "Label",
    "Module",
    "OAuth2",
    "QueryResponse",
    "TcpOptions",
    "TlsConfig",
]

IpProtocol = Literal["ip4", "ip6", ""]

_NO_LIMIT = Base2Size(0)


@dataclass(frozen=True)
class HeaderMatch:
    """One of `fail_if_header_matches` and `fail_if_header_not_matches`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    header: str
    regexp: str
    allow_missing: bool = False

    def __post_init__(self) -> None:
        if not self.header or not self.regexp:
            raise ValueError("header and regexp must be set for HTTP header matchers")


@dataclass(frozen=True)
class HttpOptions:
    """`http:` of a module.

    Attributes:
        body_size_limit: bytes after decompression; 0 is no limit of its own.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    valid_status_codes: tuple[int, ...] = ()
    valid_http_versions: tuple[str, ...] = ()
    preferred_ip_protocol: IpProtocol = ""
    ip_protocol_fallback: bool = True
    skip_resolve_phase_with_proxy: bool = False
    no_follow_redirects: bool | None = None
    follow_redirects: bool = True
    fail_if_ssl: bool = False
    fail_if_not_ssl: bool = False
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    http_headers: dict[str, HeaderValues] = field(default_factory=dict)
    fail_if_body_matches_regexp: tuple[str, ...] = ()
    fail_if_body_not_matches_regexp: tuple[str, ...] = ()
    fail_if_body_json_matches_cel: str = ""
    fail_if_body_json_not_matches_cel: str = ""
    fail_if_header_matches: tuple[HeaderMatch, ...] = ()
    fail_if_header_not_matches: tuple[HeaderMatch, ...] = ()
    accept_any_response: bool = False
    body: str = ""
    body_file: str = ""
    compression: str = ""
    body_size_limit: Base2Size = _NO_LIMIT
    enable_http2: bool = True
    enable_http3: bool = False
    tls_config: TlsConfig = field(default_factory=TlsConfig)
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: Secret | None = None
    bearer_token_file: str = ""
    oauth2: OAuth2 | None = None
    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: dict[str, tuple[Secret, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_encoding(self.headers, self.compression)
        if self.body and self.body_file:
            raise ValueError("setting body and body_file both is not allowed")
        if self.enable_http3 and self.enable_http2 and self.valid_http_versions == ("HTTP/3.0",):
            raise ValueError("enable_http3 needs enable_http2: false")
        ways = (self.basic_auth, self.authorization, self.oauth2)
        tokens = bool(self.bearer_token or self.bearer_token_file)
        if sum(way is not None for way in ways) + tokens > 1:
            raise ValueError(
                "at most one of basic_auth, authorization, oauth2, bearer_token, bearer_token_file"
            )

    @property
    def follows(self) -> bool:
        """Whether redirects are followed; the older key wins, as in blackbox_exporter."""
        if self.no_follow_redirects is not None:
            return not self.no_follow_redirects
        return self.follow_redirects


def _check_encoding(headers: dict[str, str], compression: str) -> None:
    """Raises ValueError when the answer may not come in the compression that is expected."""
    said = next((v for n, v in headers.items() if n.lower() == "accept-encoding"), None)
    if said is None or not compression:
        return
    good: dict[str, bool] = {}
    for part in said.lower().split(","):
        name, _, quality = part.partition(";")
        good[name.strip()] = quality.strip() not in ("q=0", "q=0.0")
    wanted = compression.lower()
    if not good.get(wanted, good.get("*", wanted == "identity")):
        raise ValueError(f"Accept-Encoding: {said} does not admit compression: {compression}")


@dataclass(frozen=True)
class Label:
    """One label of `probe_expect_info`; `value` may use `${1}`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    value: str = ""


@dataclass(frozen=True)
class QueryResponse:
    """One exchange of a `tcp` module: expect first, then send, then upgrade to TLS.

    `send` and a label's `value` may use what `expect` captured: `${1}`, `$1`, `${name}`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    expect: str = ""
    expect_bytes: str = ""
    labels: tuple[Label, ...] = ()
    send: str = ""
    starttls: bool = False


@dataclass(frozen=True)
class TcpOptions:
    """`tcp:` of a module."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    preferred_ip_protocol: IpProtocol = ""
    ip_protocol_fallback: bool = True
    source_ip_address: str = ""
    query_response: tuple[QueryResponse, ...] = ()
    tls: bool = False
    tls_config: TlsConfig = field(default_factory=TlsConfig)


@dataclass(frozen=True)
class IcmpOptions:
    """`icmp:` of a module."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    preferred_ip_protocol: IpProtocol = ""
    ip_protocol_fallback: bool = True
    source_ip_address: str = ""
    payload_size: int = 0
    dont_fragment: bool = False
    ttl: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.ttl <= 255:
            raise ValueError("ttl must be 0 to 255")
        if not 0 <= self.payload_size <= 65507:
            raise ValueError("payload_size must be 0 to 65507 bytes")


@dataclass(frozen=True)
class DnsValidator:
    """`validate_answer_rrs` and its siblings."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    fail_if_matches_regexp: tuple[str, ...] = ()
    fail_if_all_match_regexp: tuple[str, ...] = ()
    fail_if_not_matches_regexp: tuple[str, ...] = ()
    fail_if_none_matches_regexp: tuple[str, ...] = ()


@dataclass(frozen=True)
class DnsOptions:
    """`dns:` of a module."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    query_name: str
    preferred_ip_protocol: IpProtocol = ""
    ip_protocol_fallback: bool = True
    dns_over_tls: bool = False
    tls_config: TlsConfig = field(default_factory=TlsConfig)
    source_ip_address: str = ""
    transport_protocol: Literal["udp", "tcp", ""] = ""
    query_class: str = ""
    query_type: str = ""
    recursion_desired: bool = True
    valid_rcodes: tuple[str, ...] = ()
    validate_answer_rrs: DnsValidator = field(default_factory=DnsValidator)
    validate_authority_rrs: DnsValidator = field(default_factory=DnsValidator)
    validate_additional_rrs: DnsValidator = field(default_factory=DnsValidator)

    def __post_init__(self) -> None:
        if not self.query_name:
            raise ValueError("query_name must be set for a DNS module")


@dataclass(frozen=True)
class GrpcOptions:
    """`grpc:` of a module."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    service: str = ""
    tls: bool = False
    tls_config: TlsConfig = field(default_factory=TlsConfig)
    ip_protocol_fallback: bool = True
    preferred_ip_protocol: IpProtocol = ""
    metadata: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """One module. `unix` and `websocket` are read, and refused when they are asked for.

    Attributes:
        timeout: seconds; 0 takes what Prometheus' own timeout leaves.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    prober: str = ""
    timeout: Duration = Duration(0.0)
    http: HttpOptions = field(default_factory=HttpOptions)
    tcp: TcpOptions = field(default_factory=TcpOptions)
    dns: DnsOptions | None = None
    icmp: IcmpOptions = field(default_factory=IcmpOptions)
    grpc: GrpcOptions = field(default_factory=GrpcOptions)
    unix: dict[str, Any] = field(default_factory=dict)
    websocket: dict[str, Any] = field(default_factory=dict)
