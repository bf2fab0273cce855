"""Which modules are there when none is declared? Those of the blackbox.yml that everybody knows."""

from __future__ import annotations

from sre.core.units import Duration
from sre.probes.blackbox.modules import (
    GrpcOptions,
    HttpOptions,
    IcmpOptions,
    Label,
    Module,
    QueryResponse,
    TcpOptions,
)

__all__ = ["DEFAULT_MODULES"]

_SSH = QueryResponse(expect="^SSH-2.0-")
_IRC = (
    QueryResponse(send="NICK prober"),
    QueryResponse(send="USER prober prober prober :prober"),
    QueryResponse(expect="PING :([^ ]+)", send="PONG ${1}"),
    QueryResponse(expect="^:[^ ]+ 001"),
)
_SSH_PARTS = (
    QueryResponse(
        expect="^SSH-2.0-([^ -]+)(?: (.*))?$",
        labels=(Label("ssh_version", "${1}"), Label("ssh_comments", "${2}")),
    ),
)

DEFAULT_MODULES: dict[str, Module] = {
    "http_2xx": Module("http", http=HttpOptions(preferred_ip_protocol="ip4")),
    "http_post_2xx": Module("http", http=HttpOptions(method="POST")),
    "tcp_connect": Module("tcp"),
    "pop3s_banner": Module(
        "tcp", tcp=TcpOptions(query_response=(QueryResponse(expect="^+OK"),), tls=True)
    ),
    "grpc": Module("grpc", grpc=GrpcOptions(tls=True, preferred_ip_protocol="ip4")),
    "grpc_plain": Module("grpc", grpc=GrpcOptions(service="service1")),
    "ssh_banner": Module(
        "tcp",
        tcp=TcpOptions(query_response=(_SSH, QueryResponse(send="SSH-2.0-blackbox-ssh-check"))),
    ),
    "ssh_banner_extract": Module("tcp", Duration(5.0), tcp=TcpOptions(query_response=_SSH_PARTS)),
    "irc_banner": Module("tcp", tcp=TcpOptions(query_response=_IRC)),
    "icmp": Module("icmp"),
    "icmp_ttl5": Module("icmp", Duration(5.0), icmp=IcmpOptions(ttl=5)),
}
"""By name. Anything declared replaces all of them."""
