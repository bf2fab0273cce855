"""Does a machine answer a ping as an `icmp` module of blackbox_exporter wants it?"""

from __future__ import annotations

import ipaddress
import time
from contextlib import closing
from dataclasses import dataclass

from sre.journey.guard import Admission
from sre.probes.blackbox.model import BlackboxContext, IcmpOptions, Module
from sre.probes.blackbox.resolve import choose
from sre.probes.dial import Trouble
from sre.probes.ping import Pinger, Reply, Request

__all__ = ["IcmpProber"]

_DURATION = "probe_icmp_duration_seconds"
_LABEL = b"Prometheus Blackbox Exporter"


@dataclass(frozen=True)
class IcmpProber:
    """Sends one echo request. The allow-list must name the host with every port: `HOST:*`."""

    def probe(self, target: str, module: Module, context: BlackboxContext) -> bool:
        """Whether the answer came in time."""
        metrics, options = context.metrics, module.icmp
        for phase in ("resolve", "setup", "rtt"):
            metrics.zero(_DURATION, phase=phase)
        admission = choose(
            context, target, 0, options.preferred_ip_protocol, fallback=options.ip_protocol_fallback
        )
        if admission is None:
            return False
        metrics.set(_DURATION, admission.seconds or 0.0, phase="resolve")
        try:
            if options.source_ip_address:
                ipaddress.ip_address(options.source_ip_address)
            reply = _ping(admission, options, context)
        except Trouble as trouble:
            context.log("error", "Error sending a ping", err=trouble.message)
            return False
        except (OSError, ValueError) as error:
            context.log("error", "Error sending a ping", err=str(error))
            return False
        if reply is None:
            context.log("warn", "Timeout reading from socket")
            return False
        metrics.set(_DURATION, reply.seconds, phase="rtt")
        if reply.hop_limit is not None:
            metrics.set("probe_icmp_reply_hop_limit", reply.hop_limit)
        return True


def _ping(admission: Admission, options: IcmpOptions, context: BlackboxContext) -> Reply | None:
    request = Request(
        payload=options.payload_size or len(_LABEL),
        hops=options.ttl or None,
        whole=options.dont_fragment,
        source=options.source_ip_address,
        label=_LABEL,
    )
    began = time.monotonic()
    with closing(Pinger(admission.address, request)) as pinger:
        context.metrics.set(_DURATION, time.monotonic() - began, phase="setup")
        pinger.send(1)
        while (left := context.deadline.left()) > 0:
            try:
                reply = pinger.receive(left)
            except TimeoutError:
                return None
            if reply is not None:
                return reply
    return None
