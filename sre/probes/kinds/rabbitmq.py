"""Is a RabbitMQ cluster well, and does somebody work off its queues?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.journey.result import Reason
from sre.probes.amqp import greeted
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.facts import Facts
from sre.probes.fetch import Fetcher, Page, basic, opened
from sre.probes.judged import Seen, judged
from sre.probes.model import ProbeContext, Reading
from sre.probes.peer import Trust, trusting
from sre.probes.rabbitfacts import FACTS, NODE_COLUMNS, QUEUE_COLUMNS
from sre.probes.rabbitparts import Chosen, read_nodes, read_overview, read_queues
from sre.probes.wire import check_port, dialled

__all__ = ["RabbitmqLimits", "RabbitmqProbe"]

_PAGE = 500
_NO_HTTP = (
    "it does not speak HTTP; `port` is that of the management API (15672), `amqp_port` that of AMQP"
)
_MOST_PAGES = 20
_BODY = 16 * 2**20
_CURES = {
    "Login failed": "user name or password is wrong",
    "User can only log in via localhost": "this user may log in from the server's machine alone",
    "Not management user": "the user needs the tag monitoring (rabbitmqctl set_user_tags)",
    "Not monitor user": "nodes and alarms need the user's tag monitoring (rabbitmqctl)",
    "User not authorised to access virtual host": "the user may not see this vhost",
}


@dataclass(frozen=True)
class RabbitmqLimits:
    """What queues and nodes may come to; each is about the worst of those that are judged.

    Attributes:
        ready: messages of one queue that wait.
        unacked: messages of one queue that were given out and not acknowledged.
        age: seconds; of the first message that waits in a queue. Known only where it has a
            timestamp: its sender sets one, or the plugin rabbitmq_message_timestamp does.
        dead_letters: messages in all queues of `dead_letters` together.
        memory: share of the memory at which a node stops its publishers.
        min_consumers: least number of consumers of each queue of `queues`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    ready: int | None = None
    unacked: int | None = None
    age: Duration | None = None
    dead_letters: int | None = None
    memory: Share | None = None
    min_consumers: int | None = None


@dataclass(frozen=True)
class RabbitmqProbe:
    """Asks the management API for nodes, alarms and queues, and the AMQP port for its greeting.

    An alarm (memory, disk), a partition, a queue that is not in working order and a queue of
    `queues` that is not there have failed; a node that is down is degraded. The user needs the tag
    `monitoring` and a permission (`.*` to read, none to write) in each vhost. Queues that live as
    long as their client (exclusive, auto-delete, `amq.gen-…`) are counted together only, unless
    `queues` names them. At most 10,000 queues are looked at, those with the most messages.

    Attributes:
        port: of the management API.
        management: false asks the AMQP port alone, without a user.
        username: "guest" may log in from the server's own machine alone.
        password: a reference such as "${env:RABBITMQ_PASSWORD}".
        tls: speak TLS with the API, verified.
        server_name: the name in the certificates, if it is not `host`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        prefix: path before `/api`, if management.path_prefix is set.
        amqp_port: also check that this port answers in AMQP 0-9-1; nobody logs in.
        amqp_tls: speak TLS there, verified.
        vhosts: virtual hosts to look at; all that the user may see when left out.
        queues: names or globs (`orders`, `mail.*`) to judge; all when left out.
        dead_letters: names or globs of the queues for messages that nobody could process.
        most: how many queues get numbers of their own, those with the most messages first; the
            others are summed.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    port: int = 15672
    management: bool = True
    username: str = "guest"
    password: Secret | None = None
    tls: bool = False
    server_name: str | None = None
    ca_file: str | None = None
    prefix: str = ""
    amqp_port: int | None = None
    amqp_tls: bool = False
    vhosts: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    dead_letters: tuple[str, ...] = ()
    most: int = 15
    warn: RabbitmqLimits = RabbitmqLimits()
    max: RabbitmqLimits = RabbitmqLimits()

    def __post_init__(self) -> None:
        check_port(self.port)
        if self.amqp_port is not None:
            check_port(self.amqp_port, "amqp_port")
        if self.management and self.password is None:
            raise ValueError(
                'the management API wants a password: password: "${env:RABBITMQ_PASSWORD}"; '
                "or set management: false and amqp_port"
            )
        if not self.management and self.amqp_port is None:
            raise ValueError("management: false leaves nothing to ask; set amqp_port: 5672")
        if self.prefix and (not self.prefix.startswith("/") or self.prefix.endswith("/")):
            raise ValueError("prefix must begin with / and not end with it")
        if not 0 <= self.most <= 100:
            raise ValueError("most must be 0 to 100; use a second probe for more queues")
        self._check_limits()

    def _check_limits(self) -> None:
        for limits in (self.warn, self.max):
            if limits.min_consumers is not None and not self.queues:
                raise ValueError("min_consumers needs queues: which ones must be worked off?")
            if limits.dead_letters is not None and not self.dead_letters:
                raise ValueError("a limit on dead_letters needs dead_letters: which queues?")

    def check(self, context: ProbeContext) -> Reading:
        """Ask, judge, hang up."""
        return judged("rabbitmq", context, self._look, highest=self.max, warn=self.warn)

    def _look(self, attempt: Attempt, seen: Seen) -> None:
        if self.amqp_port is not None:
            self._greet(attempt, self.amqp_port)
        if self.management:
            self._manage(attempt, seen)

    def _greet(self, attempt: Attempt, port: int) -> None:
        tls = trusting(Trust(self.ca_file)) if self.amqp_tls else None
        admission = admitted(attempt, self.host, port)
        with dialled(attempt, admission, tls, self.server_name or "") as connection:
            greeted(attempt, connection)

    def _manage(self, attempt: Attempt, seen: Seen) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        base = f"{'https' if self.tls else 'http'}://{host}:{self.port}"
        named = f"{self.server_name}:{self.port}" if self.server_name else ""
        with opened(attempt, base, named=named, ca_file=self.ca_file) as fetcher:
            api = _Api(fetcher, f"{base}{self.prefix}/api", basic(self.username, self.password))
            read_overview(_table(api.get("overview")), seen)
            nodes = api.try_get(f"nodes?{urlencode({'columns': ','.join(NODE_COLUMNS)})}")
            if isinstance(nodes, str):
                seen.poor.append(nodes)
            else:
                read_nodes(_rows(nodes), seen)
            chosen = Chosen(self.queues, self.dead_letters, self.most)
            read_queues(self._queues(api), chosen, attempt.context.clock.wall(), seen)

    def _queues(self, api: _Api) -> Iterator[Mapping[str, Any]]:
        """Every queue of the vhosts, largest first, page by page."""
        for vhost in self.vhosts or (None,):
            path = "queues" if vhost is None else f"queues/{quote(vhost, safe='')}"
            for page in range(1, _MOST_PAGES + 1):
                query = {
                    "page": page, "page_size": _PAGE, "sort": "messages", "sort_reverse": "true",
                    "columns": ",".join(QUEUE_COLUMNS),
                }  # fmt: skip
                answer = _table(api.get(f"{path}?{urlencode(query)}"))
                yield from _rows(answer.get("items"))
                if page >= (answer.get("page_count") or 0):
                    break


@dataclass(frozen=True)
class _Api:
    """One conversation with the management API."""

    fetcher: Fetcher
    base: str
    login: Sequence[tuple[str, str]]

    def get(self, path: str) -> Any:
        """The answer. Raises Trouble."""
        found = self.try_get(path)
        if isinstance(found, str):
            raise Trouble(Reason.STATUS, found)
        return found

    def try_get(self, path: str) -> Any:
        """The answer, or a text that says why it was refused. Raises Trouble."""
        try:
            page = self.fetcher.get(f"{self.base}/{path}", self.login, limit=_BODY)
        except Trouble as trouble:
            if "HTTP/0.9" in trouble.message:  # libcurl's words for what is no HTTP at all
                raise Trouble(trouble.reason, _NO_HTTP) from trouble
            raise
        if page.status in (401, 403):
            return _refused(page)
        if page.status == 404 and path.startswith("queues/"):
            return "there is no such vhost (vhosts)"
        if page.status == 404:
            return "there is no management API here; check port and prefix, or enable the plugin"
        if page.status != 200:
            return f"the management API answered {page.status}"
        try:
            return json.loads(page.body)
        except (ValueError, RecursionError) as error:
            raise _not_rabbit() from error


def _refused(page: Page) -> str:
    try:
        reason = str(json.loads(page.body).get("reason", ""))
    except (ValueError, AttributeError, RecursionError):
        reason = ""
    return _CURES.get(reason, f"the management API refuses this user ({page.status})")


def _table(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _not_rabbit()
    return found


def _rows(found: Any) -> list[Mapping[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise _not_rabbit()
    return found


def _not_rabbit() -> Trouble:
    return Trouble(Reason.PROTOCOL, "it answered, but not as RabbitMQ's management API does")
