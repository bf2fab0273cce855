"""Does a port accept connections, and does it answer as it should?"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from socket import socket
from ssl import SSLSocket
from typing import ClassVar

from sre.core.secrets import Secret
from sre.journey.result import Reason
from sre.probes.conversation import Exchange, Heard, Say, Talk, Unmatched, converse
from sre.probes.dial import Attempt, Trouble, admitted, connect, secured
from sre.probes.dialogue import hold
from sre.probes.facts import Facts
from sre.probes.model import ProbeContext, Reading
from sre.probes.peer import Trust, sent_chain, trusting
from sre.probes.wire import revealed
from sre.probes.x509 import printable

__all__ = ["Label", "TcpProbe", "Turn"]

_LIMIT = 16 * 2**10
_TALK_LIMIT = 256 * 2**10
_MOST_LABELS = 10
_LABEL = re.compile(r"[a-z_][a-z0-9_]{0,31}")
FACTS = Facts(
    "tcp",
    (
        "earliest_expiry_timestamp_seconds",
        "When the first certificate of the chain that the server sends ends.",
    ),
    ("version_info", "TLS protocol that was agreed on; always 1.", "version"),
    ("expect_info", "What an answer said, by the names of labels:; always 1.", "name", "value"),
)


@dataclass(frozen=True)
class Label:
    """One part of an answer to export; `value` may use `$1`, `${1}` and `${name}` of `expect`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name):
            raise ValueError("name must be small letters, digits and _, at most 32")


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: wait, then send, then begin TLS; each may be left out.

    Attributes:
        expect: regular expression that a line of the answer must match; other lines are skipped.
        expect_bytes: text that must come, whether or not a line ends behind it (a prompt, say).
        refuse: regular expression of a line that ends the probe at once, as failed.
        send: text to send as a line (a line end is added unless there is one), with what `expect`
            captured as `$1`, `${1}` or `${name}`.
        secret: what `${secret}` in `send` stands for, a reference such as "${env:NAME}".
        starttls: begin TLS, verified, behind it.
        labels: parts of the answer to export.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    expect: str | None = None
    expect_bytes: str | None = None
    refuse: str | None = None
    send: str | None = None
    secret: Secret | None = None
    starttls: bool = False
    labels: tuple[Label, ...] = ()

    def __post_init__(self) -> None:
        _expression("expect", self.expect)
        _expression("refuse", self.refuse)
        if self.refuse and not self.expect:
            raise ValueError("refuse needs an expect to wait for")
        text = self.send or ""
        if re.search(r"\$\{(env|file|cmd):", text):
            raise ValueError("put the reference into secret, and ${secret} into send")
        if self.secret and not re.search(r"\$secret\b|\$\{secret\}", text):
            raise ValueError("secret is used nowhere; put ${secret} into send")
        if len(self.labels) > _MOST_LABELS or (self.labels and not self.expect):
            raise ValueError(f"labels need an expect; at most {_MOST_LABELS}")


@dataclass(frozen=True)
class TcpProbe:
    """Connects to one address; optionally sends a text and waits for an answer.

    Attributes:
        send: text sent after connecting, e.g. "PING\\r\\n".
        expect: regular expression that the first 16 KiB of the answer must match somewhere.
        conversation: several turns, line by line, instead of `send` and `expect`.
        query_response: the same under blackbox_exporter's name for it.
        tls: speak TLS, verified, before anything is sent.
        server_name: the name in the certificate, if it is not `host`.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file: PEM file of a certificate of our own, where the server asks for one.
        key_file: PEM file of its key, if it is not in `cert_file`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    port: int
    send: str | None = None
    expect: str | None = None
    conversation: tuple[Turn, ...] = ()
    query_response: tuple[Turn, ...] = ()
    tls: bool = False
    server_name: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        _expression("expect", self.expect)
        simple = self.send is not None or self.expect is not None
        if simple + bool(self.conversation) + bool(self.query_response) > 1:
            raise ValueError("send and expect, conversation, or query_response: one of them")
        if self.tls + self._starts_tls > 1:
            raise ValueError("TLS can begin once: tls, or one starttls")
        files = self.ca_file or self.cert_file or self.key_file
        if (files or self.server_name) and not self.tls and not self._starts_tls:
            raise ValueError("ca_file, cert_file, key_file, server_name need tls: true or starttls")

    def check(self, context: ProbeContext) -> Reading:
        """Connect, talk, hang up."""
        attempt = Attempt("tcp", context)
        try:
            admission = admitted(attempt, self.host, self.port)
            with closing(connect(attempt, admission)) as raw:
                self._talk(attempt, raw)
        except Trouble as trouble:
            return attempt.ended_by(trouble)
        return attempt.reading()

    @property
    def _starts_tls(self) -> int:
        return sum(turn.starttls for turn in self._turns)

    @property
    def _turns(self) -> tuple[Turn, ...]:
        return self.conversation or self.query_response

    def _talk(self, attempt: Attempt, raw: socket) -> None:
        connection = self._secured(attempt, raw) if self.tls else raw
        labels: list[dict[str, str]] = []
        with closing(connection):
            try:
                last, _ = hold(
                    attempt,
                    self._script(labels),
                    connection,
                    lambda plain: self._secured(attempt, plain),
                )
            except Unmatched as error:
                raise Trouble(Reason.BODY, str(error)) from error
            finally:
                pairs = {name: value for turn in labels for name, value in turn.items()}
                infos = [
                    FACTS("expect_info", 1, name=name, value=printable(value))
                    for name, value in list(pairs.items())[:_MOST_LABELS]
                ]
                attempt.gauges.extend(infos)
            last.close()

    def _script(self, labels: list[dict[str, str]]) -> Talk:
        if not self._turns:
            return _once(self.send, self.expect)
        return converse([_exchange(turn) for turn in self._turns], labels, limit=_TALK_LIMIT)

    def _secured(self, attempt: Attempt, raw: socket) -> SSLSocket:
        trust = Trust(self.ca_file, self.cert_file, self.key_file)
        secure = secured(attempt, raw, trusting(trust), self.server_name or self.host)
        ends = [one.expires for one in sent_chain(secure)]
        if ends:
            attempt.gauges.append(FACTS("earliest_expiry_timestamp_seconds", min(ends)))
        attempt.gauges.append(FACTS("version_info", 1, version=secure.version() or "unknown"))
        return secure


def _once(send: str | None, expect: str | None) -> Talk:
    """Say it as it stands, then wait until the answer as a whole matches."""
    if send:
        yield Say(send.encode())
    if expect is not None:
        heard, pattern = Heard(_LIMIT), re.compile(expect)
        while not pattern.search(heard.waiting.decode(errors="replace")):
            yield from heard.more()


def _exchange(turn: Turn) -> Exchange:
    return Exchange(
        expect=re.compile(turn.expect) if turn.expect is not None else None,
        refuse=re.compile(turn.refuse) if turn.refuse is not None else None,
        expect_bytes=(turn.expect_bytes or "").encode(),
        send=turn.send or "",
        end="" if (turn.send or "").endswith("\n") else "\n",
        secret=revealed(turn.secret),
        starttls=turn.starttls,
        labels=tuple((label.name, label.value) for label in turn.labels),
    )


def _expression(key: str, text: str | None) -> None:
    try:
        re.compile(text or "")
    except re.error as error:
        raise ValueError(f"{key} is not a regular expression: {error}") from error
