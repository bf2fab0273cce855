"""Does a gRPC server say of itself that it serves? (its health protocol, over libcurl's HTTP/2)"""

from __future__ import annotations

import time
from urllib.parse import unquote

from sre.core.errors import UsageError
from sre.journey.guard import Admission
from sre.journey.host import Inadmissible, origin_of
from sre.probes.blackbox.httpbody import Body
from sre.probes.blackbox.httpclient import connection
from sre.probes.blackbox.httphop import Answer, Hop, handle, perform
from sre.probes.blackbox.model import BlackboxContext, GrpcOptions, Module
from sre.probes.blackbox.resolve import choose
from sre.probes.blackbox.tlsfacts import record

__all__ = ["GrpcProber", "asked", "served", "status_of"]

_PATH = "/grpc.health.v1.Health/Check"
_SERVING = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_OK, _UNKNOWN, _DEADLINE, _UNAVAILABLE = 0, 2, 4, 14
_FROM_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_LARGEST = 2**16


class GrpcProber:
    """blackbox_exporter's `grpc` prober."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Ask `grpc.health.v1.Health/Check` once."""
        metrics, options = context.metrics, module.grpc
        metrics.zero("probe_grpc_ssl", "probe_grpc_status_code", "probe_ssl_earliest_cert_expiry")
        metrics.zero("probe_grpc_duration_seconds", phase="resolve")
        try:
            bare = target.removeprefix("http://").removeprefix("https://")
            scheme = "https" if options.tls else "http"
            _, host, port = origin_of(f"{scheme}://{bare}")
        except Inadmissible as error:
            context.blocked = str(error)
            context.log("error", "Target is not allowed", err=str(error))
            return False
        except ValueError as error:
            context.log("error", "Could not parse target URL", err=str(error))
            return False
        fallback = options.ip_protocol_fallback
        admission = choose(context, host, port, options.preferred_ip_protocol, fallback=fallback)
        if admission is None:
            return False
        metrics.set("probe_grpc_duration_seconds", admission.seconds or 0.0, phase="resolve")
        began = time.monotonic()
        try:
            return _check(host, admission, options, context)
        except UsageError as error:
            context.log("error", "Error creating TLS configuration", err=str(error))
            return False
        finally:
            taken = time.monotonic() - began
            metrics.set("probe_grpc_duration_seconds", taken, phase="check")


def _check(host: str, admission: Admission, options: GrpcOptions, context: BlackboxContext) -> bool:
    metrics = context.metrics
    for name in _SERVING.values():
        metrics.zero("probe_grpc_healthcheck_response", serving_status=name)
    body = Body("", _LARGEST, keep=True)
    hop = _hop(host, admission, options)
    with handle() as curl:
        answer = perform(curl, hop, context.deadline.left(), body, lambda _answer: False)
    code = status_of(answer, timed_out=context.deadline.passed())
    metrics.set("probe_grpc_status_code", code)
    if code != _OK:
        words = unquote(answer.header("grpc-message") or "")[:200] or answer.error
        context.log("error", "can't connect grpc server", code=code, err=words)
        return False
    serving = served(body.text)
    metrics.set("probe_grpc_healthcheck_response", 1, serving_status=serving)
    metrics.set("probe_grpc_ssl", answer.tls)
    if answer.tls:
        _record(context, answer, options)
    if serving != "SERVING":
        context.log("error", "The server does not serve", serving_status=serving)
    return serving == "SERVING"


def _record(context: BlackboxContext, answer: Answer, options: GrpcOptions) -> None:
    record(context.metrics, answer.chain, options.tls_config, answer.session)
    for name in ("probe_tls_cipher_info", "probe_ssl_last_chain_expiry_timestamp_seconds"):
        context.metrics.drop(name)  # blackbox_exporter's grpc prober has none


def _hop(host: str, admission: Admission, options: GrpcOptions) -> Hop:
    name = options.tls_config.server_name if options.tls else ""
    authority = f"[{name or host}]" if ":" in (name or host) else name or host
    scheme = "https" if options.tls else "http"
    headers = [("Content-Type", "application/grpc"), ("TE", "trailers")]
    if name and name != host:
        headers.append(("Host", f"{host}:{admission.port}"))
    headers += [(key, value) for key, values in options.metadata.items() for value in values]
    return Hop(
        f"{scheme}://{authority}:{admission.port}{_PATH}", admission, "POST", headers,
        asked(options.service), connection(options.tls_config), http2_at_once=not options.tls,
    )  # fmt: skip


def asked(service: str) -> bytes:
    """The request as it goes over the wire: one uncompressed message, its field 1 the service."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def served(text: bytes) -> str:
    """The serving status of the answer's message; an empty one is UNKNOWN, as protobuf has it."""
    message = text[5:]
    if len(message) < 2 or message[0] != 0x08:
        return _SERVING[0]
    return _SERVING.get(message[1], _SERVING[0])


def status_of(answer: Answer, *, timed_out: bool) -> int:
    """The gRPC status: the server's own, else what the transport's end stands for."""
    said = answer.header("grpc-status") or ""
    if said.isdigit():
        return int(said)
    if answer.error:
        return _DEADLINE if timed_out else _UNAVAILABLE
    return _FROM_HTTP.get(answer.status, _UNKNOWN)
