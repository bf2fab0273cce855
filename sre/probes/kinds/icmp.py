"""Does a machine answer pings, how fast, and how many get lost?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sre.core.units import Duration, Share
from sre.journey.result import Outcome, Reason
from sre.probes.bounds import Verdict, verdict
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.facts import Facts
from sre.probes.model import Gauge, ProbeContext, Reading
from sre.probes.ping import Echoed, Request, ping

__all__ = ["IcmpProbe", "Limits", "judge"]

_INTERVAL = Duration(0.2)
_LARGEST = 65507
FACTS = Facts(
    "icmp",
    ("sent", "Echo requests that were sent."),
    ("received", "Answers that came in time."),
    ("loss_ratio", "Share of the requests without an answer."),
    ("rtt_seconds", "Time from a request to its answer: min, mean or max.", "statistic"),
    ("reply_hop_limit", "Time to live of the last answer, as it arrived."),
)


@dataclass(frozen=True)
class Limits:
    """How many answers may be missing, and how long one may take on average, in seconds."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    loss: Share | None = None
    rtt: Duration | None = None


@dataclass(frozen=True)
class IcmpProbe:
    """Sends ICMP echo requests to one address, IPv4 or IPv6. No answer at all is a failure.

    ICMP has no ports: the allow-list must name the host with every port, as in `10.0.0.1:*`. Not
    every process may send ICMP; one that may not is told what to set, with the reason `prober`.

    Attributes:
        host: name or address.
        count: requests of one run.
        interval: seconds between the starts of two requests.
        payload_size: bytes behind the ICMP header.
        ttl: time to live (hop limit) to send with, 1 to 255; the system's unless said.
        dont_fragment: forbid to fragment the packet, so that a too small MTU on the way shows.
        warn: above one of these it is degraded.
        max: above one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    count: int = 1
    interval: Duration = _INTERVAL
    payload_size: int = 56
    ttl: int | None = None
    dont_fragment: bool = False
    warn: Limits = Limits(loss=Share(0.0))
    max: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 < self.count <= 100:
            raise ValueError("count must be 1 to 100")
        if not 0 <= self.payload_size <= _LARGEST:
            raise ValueError(f"payload_size must be 0 to {_LARGEST} bytes")
        if self.ttl is not None and not 0 < self.ttl < 256:
            raise ValueError("ttl must be 1 to 255")
        if self.interval < 0.01:
            raise ValueError("interval must be at least 10ms")

    def check(self, context: ProbeContext) -> Reading:
        """Ping, judge."""
        attempt = Attempt("icmp", context)
        request = Request(self.payload_size, self.ttl, self.dont_fragment)
        try:
            admission = admitted(attempt, self.host, 0)
            echoed = ping(attempt, admission.address, request, self.count, float(self.interval))
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        attempt.gauges += _gauges(echoed)
        if echoed.replies:
            attempt.phases["processing"] = _mean(echoed)
        return attempt.reading(*judge(echoed, self.warn, self.max))


def judge(echoed: Echoed, warn: Limits, highest: Limits) -> Verdict:
    """The verdict on the answers (pure)."""
    if not echoed.replies:
        if echoed.trouble:
            return Outcome.FAILED, Reason.CONNECT, echoed.trouble
        many = f"{echoed.sent} requests" if echoed.sent > 1 else "the request"
        return Outcome.FAILED, Reason.TIMEOUT, f"no answer to {many} in time"
    return verdict(highest, warn, {"loss": echoed.loss, "rtt": _mean(echoed)})


def _mean(echoed: Echoed) -> float:
    return sum(reply.seconds for reply in echoed.replies) / len(echoed.replies)


def _gauges(echoed: Echoed) -> list[Gauge]:
    gauges = [
        FACTS("sent", echoed.sent),
        FACTS("received", len(echoed.replies)),
        FACTS("loss_ratio", echoed.loss),
    ]
    if echoed.replies:
        times = [reply.seconds for reply in echoed.replies]
        statistics = {"min": min(times), "mean": _mean(echoed), "max": max(times)}
        gauges += [
            FACTS("rtt_seconds", value, statistic=name) for name, value in statistics.items()
        ]
        hops = echoed.replies[-1].hop_limit
        if hops is not None:
            gauges.append(FACTS("reply_hop_limit", hops))
    return gauges
