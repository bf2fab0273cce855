"""Does a port answer as a `tcp` module of blackbox_exporter wants it?"""

from __future__ import annotations

import ipaddress
import ssl
from contextlib import closing
from dataclasses import dataclass
from socket import socket

from sre.core.errors import MissingExtra, UsageError
from sre.probes.blackbox.gonames import go_name
from sre.probes.blackbox.model import BlackboxContext, Module, QueryResponse, TcpOptions
from sre.probes.blackbox.regexp import compiled
from sre.probes.blackbox.resolve import choose
from sre.probes.blackbox.session import (
    attempt_of,
    certificates,
    dialled,
    encrypted,
    split_host_port,
)
from sre.probes.blackbox.tlsfacts import NEVER, last_chain_expiry, trusted
from sre.probes.conversation import Exchange, Unmatched, converse
from sre.probes.dial import Attempt, Trouble
from sre.probes.dialogue import hold

__all__ = ["TcpProber"]


@dataclass(frozen=True)
class TcpProber:
    """Connects, then holds the conversation of `query_response`."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Whether everything was said that was expected."""
        options = module.tcp
        context.metrics.zero("probe_failed_due_to_regex", "probe_failed_due_to_bytes")
        place = split_host_port(target)
        if place is None:
            context.log("error", "Error splitting target address and port", target=target)
            return False
        admission = choose(
            context, *place, options.preferred_ip_protocol, fallback=options.ip_protocol_fallback
        )
        if admission is None or not _usable(options.source_ip_address, context):
            return False
        attempt = attempt_of("tcp", context)
        try:
            with closing(dialled(attempt, admission, options.source_ip_address)) as raw:
                context.log("info", "Successfully dialed")
                _talk(attempt, raw, options, context, place[0])
        except Unmatched as error:
            names = {"line": "probe_failed_due_to_regex", "bytes": "probe_failed_due_to_bytes"}
            if error.wanted:
                context.metrics.set(names[error.wanted], 1)
            context.log("error", "The answer did not match", err=str(error))
            return False
        except Trouble as trouble:
            context.log("error", "Error talking to the target", err=trouble.message)
            return False
        except (UsageError, MissingExtra, ValueError) as error:
            context.log("error", "The module cannot be used", err=str(error))
            return False
        return True


def _talk(
    attempt: Attempt, raw: socket, options: TcpOptions, context: BlackboxContext, host: str
) -> None:
    def secure(plain: socket) -> ssl.SSLSocket:
        connection = encrypted(attempt, options.tls_config, host)(plain)
        _record(connection, options, context)
        return connection

    labels: list[dict[str, str]] = []
    connection: socket = secure(raw) if options.tls else raw
    script = converse([_exchange(one) for one in options.query_response], labels, strict=False)
    with closing(connection):
        try:
            last, _ = hold(attempt, script, connection, secure)
            last.close()
        finally:
            for found in labels:
                context.metrics.set("probe_expect_info", 1, **found)


def _exchange(one: QueryResponse) -> Exchange:
    return Exchange(
        expect=compiled(one.expect) if one.expect else None,
        expect_bytes=one.expect_bytes.encode(),
        exact=True,
        send=one.send,
        starttls=one.starttls,
        labels=tuple((label.name, label.value) for label in one.labels),
    )


def _record(connection: ssl.SSLSocket, options: TcpOptions, context: BlackboxContext) -> None:
    metrics, tls, chain = context.metrics, options.tls_config, certificates(connection)
    version = connection.version() or ""
    number = version.removeprefix("TLSv")
    shown = f"TLS {number if '.' in number else number + '.0'}" if number else "unknown"
    metrics.set("probe_tls_version_info", 1, version=shown)
    if not chain:
        return
    metrics.set("probe_ssl_earliest_cert_expiry", min(one.expires for one in chain))
    expiry = NEVER if tls.insecure_skip_verify else last_chain_expiry(chain, trusted(tls))
    metrics.set("probe_ssl_last_chain_expiry_timestamp_seconds", expiry)
    leaf = chain[0]
    metrics.set(
        "probe_ssl_last_chain_info",
        1,
        fingerprint_sha256=leaf.fingerprint,
        subject=go_name(leaf.subject),
        issuer=go_name(leaf.issuer),
        subjectalternative=",".join(leaf.dns),
    )


def _usable(source: str, context: BlackboxContext) -> bool:
    """Whether the address to send from is one at all."""
    try:
        if source:
            ipaddress.ip_address(source)
    except ValueError:
        context.log("error", "Error parsing source ip address", srcIP=source)
        return False
    return True
