"""What does /probe answer, for whom, and within which time?"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sre.core.clock import Clock, Deadline, SystemClock
from sre.core.errors import MissingExtra, UsageError
from sre.core.web.answer import Answer, Asked
from sre.journey.guard import Guard
from sre.journey.shop import Shop
from sre.probes.blackbox.exposition import CONTENT_TYPE, as_log, as_text
from sre.probes.blackbox.families import OWN
from sre.probes.blackbox.marks import marks_of
from sre.probes.blackbox.model import BlackboxContext, Module, Prober
from sre.probes.blackbox.registry import prober_for
from sre.probes.blackbox.show import as_yaml, module_data, modules_yaml

__all__ = ["Blackbox", "timeout_of", "with_hostname"]

log = logging.getLogger(__name__)

OFFSET = 0.5
"""Seconds that are kept back from Prometheus' own timeout."""

_TIMEOUT = 120.0
_AT_ONCE = 400  # hundreds of targets that hang together are each told as down: 503 says nothing
_LONGEST_TARGET = 2048
_REMEMBERED = 1000
_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_RESULTS = ("success", "failure", "blocked")
_REFUSALS = ("bad_request", "unknown_module", "busy")


class _Refusal(Exception):
    """No probe is made of this request."""

    def __init__(self, status: int, message: str, reason: str = "bad_request") -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class _Request:
    name: str
    module: Module
    target: str
    prober: Prober
    seconds: float
    hostname: str = ""
    debug: bool = False


@dataclass
class _Counts:
    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_REFUSALS, 0))
    blocked: int = 0


class Blackbox(Collector):
    """Answers /probe and /config for the modules and the allow-list that it was given last.

    Args:
        offset: seconds that are kept back from Prometheus' own timeout.
        debug: whether anybody may see the log of a probe and the modules; without it only those
            who named themselves (`basic_auth_users` of --web.config.file).
        at_once: probes under way at the same time; further ones are refused.
    """

    def __init__(
        self,
        *,
        offset: float = OFFSET,
        debug: bool = False,
        at_once: int = _AT_ONCE,
        clock: Clock | None = None,
    ) -> None:
        self._offset, self._debug = offset, debug
        self._clock = clock or SystemClock()
        self._modules: Mapping[str, Module] = {}
        self._guard = Guard(())
        self._marks = marks_of(None, self._clock)
        self._slots = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._counts = _Counts()
        self._told: set[tuple[str, str]] = set()

    def adopt(self, modules: Mapping[str, Module], guard: Guard, shop: Shop | None = None) -> None:
        """Serve these from now on; the counts of modules that are gone vanish.

        Args:
            shop: whose requests carry its synthetic header.
        """
        with self._lock:
            self._marks = marks_of(shop, self._clock)
            self._modules, self._guard = dict(modules), guard
            kept = self._counts.requests
            self._counts.requests = {
                (name, result): kept.get((name, result), 0)
                for name in modules
                for result in _RESULTS
            }
            self._told.clear()

    def probe(self, asked: Asked) -> Answer:
        """The answer to GET /probe."""
        try:
            request = self._read(asked)
        except _Refusal as refusal:
            return self._refused(refusal)
        if not self._slots.acquire(blocking=False):
            return self._refused(_Refusal(503, "Too many probes at once; try again", "busy"))
        try:
            return self._look(request)
        finally:
            self._slots.release()

    def config(self, asked: Asked) -> Answer:
        """The answer to GET /config: the modules, secrets masked."""
        if not self._may_see(asked):
            return Answer.text(403, _NOT_SHOWN)
        return Answer(200, modules_yaml(self._modules).encode())

    def describe(self) -> Iterable[Metric]:
        """Nothing: families are the same whether or not anybody asked."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Our own counts, on /metrics."""
        with self._lock:
            requests, refused = dict(self._counts.requests), dict(self._counts.refused)
        every: tuple[dict[Any, int], ...] = (
            requests, {(k,): v for k, v in refused.items()}, {(): self._counts.blocked},
        )  # fmt: skip
        for info, counts in zip(OWN, every, strict=True):
            family = Metric(info.name.removesuffix("_total"), info.help, "counter")
            for key, count in counts.items():
                family.add_sample(info.name, dict(zip(info.labels, key, strict=True)), count)
            yield family

    def _read(self, asked: Asked) -> _Request:
        """What is asked for, checked in blackbox_exporter's order. Raises _Refusal."""
        given = _parameters(asked.query)
        name = given.get("module") or "http_2xx"
        module = self._modules.get(name)
        if module is None:
            raise _Refusal(400, f'Unknown module "{name[:64]}"', "unknown_module")
        seconds = timeout_of(asked.header(_HEADER), module.timeout, self._offset)
        target = given.get("target", "")
        if not target:
            raise _Refusal(400, "Target parameter is missing")
        if len(target) > _LONGEST_TARGET:
            raise _Refusal(400, f"Target parameter is longer than {_LONGEST_TARGET} characters")
        try:
            prober = prober_for(module.prober)
        except (UsageError, MissingExtra) as error:
            raise _Refusal(400, f'Unknown prober "{module.prober}": {error}') from error
        hostname = given.get("hostname", "")
        debug = given.get("debug") == "true"
        if debug and not self._may_see(asked):
            raise _Refusal(403, _NOT_SHOWN)
        return _Request(
            name, with_hostname(module, hostname), target, prober, seconds, hostname, debug
        )

    def _may_see(self, asked: Asked) -> bool:
        return self._debug or asked.known

    def _look(self, request: _Request) -> Answer:
        clock = self._clock
        deadline = Deadline.after(request.seconds, clock)
        context = BlackboxContext(deadline, self._guard, request.hostname, marks=self._marks)
        metrics = context.metrics
        metrics.zero("probe_success", "probe_duration_seconds")
        metrics.set("probe_timeout_seconds", request.seconds)
        began = clock.now()
        context.log(
            "info", "Beginning probe",
            probe=request.module.prober, timeout_seconds=f"{request.seconds:g}",
        )  # fmt: skip
        good = _probe(request, context)
        seconds = clock.now() - began
        metrics.set("probe_duration_seconds", seconds)
        metrics.set("probe_success", good)
        words = ("info", "Probe succeeded") if good else ("error", "Probe failed")
        context.log(*words, duration_seconds=f"{seconds:.6f}")
        self._count(request, context, good=good)
        text = as_text(metrics)
        if request.debug:
            return Answer(200, _debug_output(request, context, text).encode())
        headers = (("X-Probe-Blocked", "1"),) if context.blocked else ()
        return Answer(200, text.encode(), CONTENT_TYPE, headers)

    def _count(self, request: _Request, context: BlackboxContext, *, good: bool) -> None:
        result = "success" if good else "blocked" if context.blocked else "failure"
        with self._lock:
            key = (request.name, result)
            if key in self._counts.requests:
                self._counts.requests[key] += 1
            self._counts.blocked += result == "blocked"
            fresh = (request.name, request.target) not in self._told
            if result == "blocked" and fresh and len(self._told) < _REMEMBERED:
                self._told.add((request.name, request.target))
                log.warning("/probe with module %s: %s", request.name, context.blocked)

    def _refused(self, refusal: _Refusal) -> Answer:
        with self._lock:
            self._counts.refused[refusal.reason] += 1
        return Answer.text(refusal.status, str(refusal))


_NOT_SHOWN = (
    "not shown: start with --web.enable-debug, or name yourself (basic_auth_users of "
    "--web.config.file)"
)


def _parameters(query: str) -> dict[str, str]:
    """Each parameter once. Raises _Refusal."""
    try:
        given = parse_qs(query, keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise _Refusal(400, f"Bad query: {error}") from error
    for name in ("target", "module", "hostname", "debug"):
        if len(given.get(name, ())) > 1:
            raise _Refusal(400, f"Parameter {name} is given more than once")
    return {name: values[0] for name, values in given.items()}


def timeout_of(header: str, module: float, offset: float) -> float:
    """Seconds for one probe: the module's, or what Prometheus' timeout leaves, the shorter.

    Raises:
        _Refusal: the header is no number.
    """
    try:
        scrape = float(header) if header else 0.0
    except ValueError:
        scrape = math.nan
    if not math.isfinite(scrape):
        raise _Refusal(500, f"Failed to parse timeout from Prometheus header: {header[:32]!r}")
    scrape = scrape if scrape > 0 else _TIMEOUT
    longest = scrape - offset
    if 0 < module < longest:
        return module
    return longest if longest > 0 else module or scrape


def with_hostname(module: Module, hostname: str) -> Module:
    """The module with the parameter `hostname` in it: Host of http, server name of tcp.

    Raises:
        _Refusal: the module says another one.
    """
    if not hostname:
        return module
    if any(ord(character) <= 32 for character in hostname) or len(hostname) > 255:
        raise _Refusal(400, "Parameter hostname is no host name")
    if module.prober == "http":
        headers = dict(module.http.headers)
        for name, value in headers.items():
            if name.lower() == "host" and value != hostname:
                raise _Refusal(
                    400,
                    f"host header defined both in module configuration ({value}) and with "
                    f"URL-parameter 'hostname' ({hostname})",
                )
        headers = {name: value for name, value in headers.items() if name.lower() != "host"}
        return replace(module, http=replace(module.http, headers={**headers, "Host": hostname}))
    if module.prober == "tcp" and not module.tcp.tls_config.server_name:
        tls = replace(module.tcp.tls_config, server_name=hostname)
        return replace(module, tcp=replace(module.tcp, tls_config=tls))
    return module


def _probe(request: _Request, context: BlackboxContext) -> bool:
    try:
        return request.prober.probe(request.target, request.module, context)
    except Exception as error:
        log.exception("prober %s crashed, a bug of ours", request.module.prober)
        context.log("error", "The prober crashed, a bug of ours", err=type(error).__name__)
        return False


def _debug_output(request: _Request, context: BlackboxContext, text: str) -> str:
    said = as_log(context.lines, request.name, request.target)
    return (
        f"Logs for the probe:\n{said}\n\n\n\nMetrics that would have been returned:\n{text}\n\n\n"
        f"Module configuration:\n{as_yaml(module_data(request.module))}"
    )
