"""Which one address of a target is looked at? blackbox_exporter's choice, within the allow-list."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import replace
from functools import partial

from sre.journey.guard import Admission, Blocked, Unresolved, system_resolve
from sre.journey.host import literal
from sre.probes.blackbox.model import BlackboxContext

__all__ = ["admit", "choose", "ip_hash"]


def choose(
    context: BlackboxContext, host: str, port: int, preferred: str = "", *, fallback: bool = True
) -> Admission | None:
    """The address to connect to, recorded as blackbox_exporter does; None: it is over, and logged.

    `probe_ip_protocol`, `probe_ip_addr_hash` and `probe_dns_lookup_time_seconds` are set here.
    The answer's `seconds` is the time that resolving took, for the phase `resolve`.

    Args:
        preferred: `ip4` or `ip6`; empty is `ip6`, as in blackbox_exporter.
        fallback: whether an address of the other protocol will do.
    """
    metrics = context.metrics
    metrics.zero("probe_ip_protocol", "probe_dns_lookup_time_seconds", "probe_ip_addr_hash")
    context.log("info", "Resolving target address", target=host, ip_protocol=preferred or "ip6")
    began = time.monotonic()
    try:
        found = admit(context, host, port, preferred, fallback=fallback)
    except Unresolved as error:
        context.log("error", "Resolution with IP protocol failed", target=host, err=str(error))
        return None
    except Blocked as error:
        context.blocked = str(error)
        context.log("error", "Target is not allowed", target=host, err=str(error))
        return None
    finally:
        seconds = time.monotonic() - began
        metrics.set("probe_dns_lookup_time_seconds", seconds)
    context.log("info", "Resolved target address", target=host, ip=found.address)
    metrics.set("probe_ip_protocol", 6 if ":" in found.address else 4)
    metrics.set("probe_ip_addr_hash", ip_hash(found.address))
    return replace(found, seconds=seconds)


def admit(
    context: BlackboxContext, host: str, port: int, preferred: str = "", *, fallback: bool = True
) -> Admission:
    """The admitted address by preference, without a trace in metrics (a redirect's hop, say).

    Raises:
        Blocked: name, port or address is not on the allow-list.
        Unresolved: the name has no address, none of the protocol, or no answer in time.
    """
    wanted = 4 if preferred == "ip4" else 6
    left = context.deadline.left()
    bare = host.removeprefix("[").removesuffix("]")
    if bare.lower().rstrip(".") == "localhost":
        return _localhost(context, bare, port, wanted, fallback=fallback)
    guard = context.guard.using(partial(_preferring, wanted, fallback))
    found = guard.admit(bare, port, left)
    if not fallback and ipaddress.ip_address(found.address).version != wanted:
        raise Unresolved(f"{host} has no IPv{wanted} address and there is no fallback")
    return found


def _localhost(
    context: BlackboxContext, host: str, port: int, wanted: int, *, fallback: bool
) -> Admission:
    """The machine's own word on `localhost`, kept to loopback; the guard never asks DNS for it."""
    found = context.guard.admit(host, port, context.deadline.left())
    try:
        names = _preferring(wanted, fallback, host, port)
    except OSError as error:
        raise Unresolved(f"{host}: {error.strerror or error}") from error
    for name in names:
        address = literal(name)
        if address is not None and address.is_loopback:
            return replace(found, address=str(address))
    raise Unresolved(f"{host} has no loopback address")


def _preferring(wanted: int, fallback: bool, host: str, port: int) -> list[str]:  # noqa: FBT001
    """The system's addresses in its own order, those of the wanted protocol first."""
    if not fallback:
        family = socket.AF_INET if wanted == 4 else socket.AF_INET6
        infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in infos))
    names = system_resolve(host, port)
    return sorted(names, key=lambda name: (":" in name) != (wanted == 6))


def ip_hash(address: str) -> int:
    """FNV-1a, 32 bits, over the bytes of the address, as blackbox_exporter's."""
    value = 0x811C9DC5
    for byte in ipaddress.ip_address(address).packed:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
