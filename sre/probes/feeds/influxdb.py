"""How do results reach InfluxDB? As line protocol, over its HTTP write endpoint.

Line protocol: docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference. Versions 1
(`database`) and 2 (`org`, `bucket`, `token`); the second is tested against its documented interface
alone, no such server can be had from a distribution.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.core.secrets import Secret, redactor
from sre.journey.result import Outcome
from sre.probes.feeds.model import Rejected
from sre.probes.model import Check, Result

__all__ = ["InfluxFeed", "lines"]

_BAD_REQUEST, _TOO_LARGE, _NO_CONTENT = 400, 413, 204
_SPECIAL = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})


@dataclass(frozen=True)
class InfluxFeed:
    """Writes each run as a point: `probe_run`, `probe_step`, and one for each number found.

    Attributes:
        url: where InfluxDB listens, e.g. http://127.0.0.1:8086.
        database: of version 1; it must exist.
        retention: retention policy of version 1, if not the default one.
        username, password: of version 1.
        org, bucket, token: of version 2 and later.
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    url: str
    database: str | None = None
    retention: str | None = None
    username: str | None = None
    password: Secret | None = None
    org: str | None = None
    bucket: str | None = None
    token: Secret | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.query:
            raise ValueError("url must hold no user and no query; use username, password or token")
        if (self.database is None) == (self.bucket is None):
            raise ValueError("give database (version 1), or org, bucket and token (version 2)")
        if self.bucket is not None and (self.org is None or self.token is None):
            raise ValueError("bucket needs org and token")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")

    def announce(self, checks: Sequence[Check], deadline: Deadline) -> None:
        """Nothing to say: series come into being with their first point."""

    def send(self, batch: Sequence[Result], deadline: Deadline) -> None:
        """One request for all points; a point that is sent twice is the same point."""
        import requests  # noqa: PLC0415  only where there is a feed

        text = "\n".join(line for result in batch for line in lines(result))
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(
                    self._address(),
                    params=self._where(),
                    data=gzip.compress(text.encode(), 5),
                    headers=headers | self._token(),
                    auth=self._user(),
                    timeout=max(0.05, deadline.left()),
                    verify=self.ca_file or True,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise Transient(f"InfluxDB does not answer: {type(error).__name__}") from error
            except OSError as error:
                raise UsageError(f"the feed's ca_file {self.ca_file} cannot be used") from error
        _judge(answer.status_code, answer.text)

    def _address(self) -> str:
        path = "/write" if self.database is not None else "/api/v2/write"
        return self.url.rstrip("/") + path

    def _where(self) -> dict[str, str]:
        named = {"db": self.database, "rp": self.retention, "org": self.org, "bucket": self.bucket}
        return {"precision": "ns"} | {key: value for key, value in named.items() if value}

    def _token(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Token {self.token.reveal()}"}

    def _user(self) -> tuple[str, str] | None:
        if self.username is None or self.password is None:
            return None
        return self.username, self.password.reveal()


def lines(result: Result) -> Iterator[str]:
    """The points of one run, its end as their time."""
    reading = result.reading
    at = round((result.started + reading.seconds) * 1e9)
    tags = {"probe": result.probe, "kind": result.kind}
    ended = {"outcome": reading.outcome.value, "reason": reading.reason.value}
    failed = reading.outcome is Outcome.FAILED and not reading.is_prober
    up = {"up": int(reading.outcome.good)} if reading.outcome.good or failed else {}
    yield _line("probe_run", {**tags, **ended}, {"seconds": reading.seconds, **up}, at)
    for step in reading.steps if reading.journey else ():
        names = {**tags, "journey": reading.journey or "", "step": step.name}
        how = {"outcome": step.outcome.value, "reason": step.reason.value}
        phases = {f"{phase}_seconds": seconds for phase, seconds in step.phases.items()}
        yield _line("probe_step", {**names, **how}, {"seconds": step.seconds, **phases}, at)
    for gauge in reading.gauges:
        if math.isfinite(gauge.value):
            own = {"probe": result.probe, **dict(gauge.labels)}
            yield _line(gauge.name, own, {"value": float(gauge.value)}, at)


def _line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Any], at: int) -> str:
    """One point; an empty tag is left out, a number stays what it is."""
    named = "".join(f",{_key(key)}={_tag(value)}" for key, value in tags.items() if value)
    numbers = ",".join(f"{_key(key)}={_number(value)}" for key, value in fields.items())
    return f"{_key(measurement)}{named} {numbers} {at}"


def _key(text: str) -> str:
    return text.translate(_SPECIAL)


def _tag(text: str) -> str:
    """A backslash at the end would escape what follows."""
    escaped = redactor.mask(text).translate(_SPECIAL)
    return f"{escaped}_" if escaped.endswith("\\") else escaped


def _number(value: float) -> str:
    return f"{value}i" if isinstance(value, int) else repr(float(value))


def _judge(status: int, text: str) -> None:
    if status == _NO_CONTENT:
        return
    said = redactor.mask(" ".join(text.split()))[:200]
    if status in (_BAD_REQUEST, _TOO_LARGE):
        raise Rejected(f"InfluxDB refuses the points ({status}): {said}")
    if status in (401, 403, 404):
        raise UsageError(
            f"InfluxDB lets us write nothing ({status}): {said}; check the feed's keys"
        )
    raise Transient(f"InfluxDB answers {status}: {said}")
