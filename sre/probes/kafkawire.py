"""Which brokers does a Kafka cluster name? Asked in its own protocol, on a connection of ours.

librdkafka connects by itself to any broker that the metadata names, as soon as it knows it. So
somebody else has to ask for the names first, and the allow-list about each of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.kafkaparts import Broker
from sre.probes.wire import ask

__all__ = ["Login", "Scram", "named_brokers"]

_METADATA, _HANDSHAKE, _VERSIONS, _AUTHENTICATE = 3, 17, 18, 36
_NEWEST = 8
"""Metadata versions from 9 on are written in another way; every broker still knows this one."""
_MOST_ROUNDS = 1_000_000


@dataclass(frozen=True)
class Login:
    """Who we are; values, so it lives no longer than a run."""

    mechanism: str
    username: str
    password: str = field(repr=False)


def named_brokers(
    attempt: Attempt, connection: socket.socket, login: Login | None
) -> tuple[Broker, ...]:
    """The brokers that this one names.

    Raises:
        Trouble: `status` (login refused), `timeout` or `protocol`.
    """
    talk = _Talk(attempt, connection)
    try:
        version = _version(talk.call(_VERSIONS, 0, b""))
        if login is not None:
            _log_in(talk, login)
        return _brokers(talk.call(_METADATA, version, _request(version)), version)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise Trouble(Reason.PROTOCOL, "it answered, but not as a Kafka broker does") from error


class _Talk:
    """Requests and their answers, in order."""

    def __init__(self, attempt: Attempt, connection: socket.socket) -> None:
        self._attempt = attempt
        self._connection = connection
        self._number = 0

    def call(self, api: int, version: int, body: bytes) -> _Reader:
        """The answer's body. Raises Trouble."""
        self._number += 1
        head = struct.pack(">hhi", api, version, self._number) + _string("sre-probe")
        message = struct.pack(">i", len(head) + len(body)) + head + body
        answer = ask(self._attempt, self._connection, message, _whole)
        reader = _Reader(answer[4:])
        if reader.number(">i") != self._number:
            raise ValueError("an answer to another question")
        return reader


def _whole(heard: bytes) -> bool:
    if len(heard) < 4:
        return False
    size: int = struct.unpack(">i", heard[:4])[0]
    if not 4 <= size <= 2**20:  # of HTTP, say, the first four letters
        raise Trouble(Reason.PROTOCOL, "it answered, but not as a Kafka broker does")
    return len(heard) >= 4 + size


@dataclass
class _Reader:
    """Takes values off an answer, from its beginning."""

    data: bytes
    at: int = 0

    def number(self, form: str) -> int:
        value: int = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        return self._take(self.number(">h")).decode()

    def content(self) -> bytes:
        return self._take(self.number(">i"))

    def _take(self, size: int) -> bytes:
        size = max(0, size)  # -1 is null
        if self.at + size > len(self.data):
            raise ValueError("shorter than it says")
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken


def _version(reader: _Reader) -> int:
    """The newest version of the metadata request that both sides know."""
    reader.number(">h")
    for _ in range(reader.number(">i")):
        api, oldest, newest = (reader.number(">h") for _ in range(3))
        if api == _METADATA and oldest <= _NEWEST and newest >= 1:
            return min(newest, _NEWEST)
    raise ValueError("no version of the metadata request")


def _request(version: int) -> bytes:
    """No topic at all: the brokers are wanted."""
    body = struct.pack(">i", 0)
    if version >= 4:
        body += b"\0"  # do not create topics
    return body + b"\0\0" if version >= 8 else body


def _brokers(reader: _Reader, version: int) -> tuple[Broker, ...]:
    if version >= 3:
        reader.number(">i")
    found = []
    for _ in range(reader.number(">i")):
        reader.number(">i")
        found.append(Broker(reader.text(), reader.number(">i")))
        reader.text()  # the rack
    if not found:
        raise ValueError("a cluster without brokers")
    return tuple(found)


def _log_in(talk: _Talk, login: Login) -> None:
    answer = talk.call(_HANDSHAKE, 1, _string(login.mechanism))
    if answer.number(">h"):
        known = ", ".join(answer.text() for _ in range(answer.number(">i")))[:200]
        raise Trouble(Reason.STATUS, f"the broker does not offer {login.mechanism}, but: {known}")

    def send(data: bytes) -> bytes:
        reply = talk.call(_AUTHENTICATE, 0, struct.pack(">i", len(data)) + data)
        refused = reply.number(">h")
        reply.text()
        if refused:
            raise _refused()
        return reply.content()

    if login.mechanism == "PLAIN":
        send(f"\0{login.username}\0{login.password}".encode())
    else:
        Scram(login, secrets.token_urlsafe(24)).run(send)


def _refused() -> Trouble:
    return Trouble(Reason.STATUS, "the login was refused: user name or password is wrong")


class Scram:
    """SCRAM (RFC 5802) without channel binding, as Kafka's brokers speak it."""

    def __init__(self, login: Login, nonce: str) -> None:
        self._hash = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[login.mechanism]
        self._password = login.password.encode()
        name = login.username.replace("=", "=3D").replace(",", "=2C")
        self._nonce = nonce
        self._first = f"n={name},r={nonce}"

    def run(self, send: Callable[[bytes], bytes]) -> None:
        """Two messages each way; the server proves that it knows the password as well.

        Raises:
            Trouble: `status` when it is refused.
        """
        told = send(f"n,,{self._first}".encode()).decode()
        final, signature = self.answer(told)
        proof = _fields(send(final.encode()).decode())
        if "e" in proof:
            raise _refused()
        if not hmac.compare_digest(base64.b64decode(proof.get("v", "")), signature):
            raise Trouble(Reason.STATUS, "the broker does not know the password itself")

    def answer(self, told: str) -> tuple[str, bytes]:
        """Our final message for the server's first one, and the signature it must answer with."""
        fields = _fields(told)
        nonce, rounds = fields.get("r", ""), int(fields.get("i", "0"))
        if "e" in fields:
            raise _refused()
        if not nonce.startswith(self._nonce) or not 0 < rounds <= _MOST_ROUNDS:
            raise ValueError("not a SCRAM answer")
        salt = base64.b64decode(fields.get("s", ""))
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, rounds)
        bare = f"c=biws,r={nonce}"
        signed = f"{self._first},{told},{bare}".encode()
        key = self._mac(salted, b"Client Key")
        mine = self._mac(hashlib.new(self._hash, key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(key, mine, strict=True))
        final = f"{bare},p={base64.b64encode(proof).decode()}"
        return final, self._mac(self._mac(salted, b"Server Key"), signed)

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self._hash).digest()


def _fields(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(","))
    return {key: value for key, equals, value in pairs if equals}


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data
