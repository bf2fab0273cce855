"""How do results reach Zabbix? As values of trapper items, by Zabbix' own sender library.

The template `deploy/zabbix/sre-template.yaml` has the items: a discovery rule that `announce` feeds
with the names of the probes, and for each of them outcome, reason, up and seconds.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sre.core.clock import Deadline
from sre.core.errors import Transient, UsageError
from sre.journey.result import Outcome
from sre.probes.model import Check, Result

if TYPE_CHECKING:
    from zabbix_utils import ItemValue

__all__ = ["ZabbixFeed", "discovery", "values"]

DISCOVERY = "sre.probe.discovery"


@dataclass(frozen=True)
class ZabbixFeed:
    """Sends each run to a Zabbix server or proxy, as values of one host.

    Attributes:
        server: address of the server or proxy.
        port: its trapper port.
        host: name of the host in Zabbix that has the template.
        ca_file: PEM file of the authorities that signed the server's certificate: turns on TLS.
        cert_file, key_file: our own certificate, PEM, and its key.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    server: str
    host: str
    port: int = 10051
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file needs ca_file: without it there is no TLS")

    def announce(self, checks: Sequence[Check], deadline: Deadline) -> None:
        """Hand the names of the probes to the template's discovery rule."""
        self._hand_over([(DISCOVERY, discovery(checks), None)], deadline)

    def send(self, batch: Sequence[Result], deadline: Deadline) -> None:
        """Four values for each run, with the time of its end."""
        self._hand_over([row for result in batch for row in values(result)], deadline)

    def _hand_over(self, rows: Sequence[tuple[str, str, float | None]], deadline: Deadline) -> None:
        from zabbix_utils import ProcessingError, Sender  # noqa: PLC0415  an extra

        logging.getLogger("zabbix_utils").setLevel(logging.CRITICAL)  # what it says, we say
        sender = Sender(
            self.server,
            self.port,
            timeout=max(1, round(deadline.left())),
            use_ipv6=":" in self.server,
            socket_wrapper=self._wrapper(),
        )
        try:
            told = sender.send([_item(self.host, *row) for row in rows])
        except (ProcessingError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Transient(
                f"Zabbix at {self.server}:{self.port} does not answer: {why}"
            ) from error
        if told.total and not told.processed:
            raise Transient(
                f"Zabbix knows no item for the values of host {self.host!r}; link the template "
                "'sre probes' to it (new items are known after its next cache update)"
            )

    def _wrapper(self) -> Callable[[Any, Any], Any] | None:
        if self.ca_file is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:
            files = ", ".join(filter(None, (self.ca_file, self.cert_file, self.key_file)))
            raise UsageError(f"the feed's TLS files cannot be used: {files}") from error
        return lambda connection, _tls: context.wrap_socket(connection, server_hostname=self.server)


def discovery(checks: Sequence[Check]) -> str:
    """The probes as a low-level discovery document."""
    rows = [
        {"{#PROBE}": check.name, "{#KIND}": check.kind, "{#EVERY}": f"{check.every:g}"}
        for check in checks
    ]
    return json.dumps(rows)


def values(result: Result) -> Iterator[tuple[str, str, float | None]]:
    """(key, value, seconds since the epoch) of one run; `up` only where there was a verdict."""
    reading, name = result.reading, result.probe
    at = result.started + reading.seconds
    failed = reading.outcome is Outcome.FAILED and not reading.is_prober
    if reading.outcome.good or failed:
        yield f"sre.probe.up[{name}]", str(int(reading.outcome.good)), at
        yield f"sre.probe.seconds[{name}]", f"{reading.seconds:.6f}", at
    yield f"sre.probe.outcome[{name}]", reading.outcome.value, at
    yield f"sre.probe.reason[{name}]", reading.reason.value or "none", at


def _item(host: str, key: str, value: str, at: float | None) -> ItemValue:
    from zabbix_utils import ItemValue  # noqa: PLC0415

    if at is None:
        return ItemValue(host, key, value)
    return ItemValue(host, key, value, int(at), int(at % 1 * 1e9))
