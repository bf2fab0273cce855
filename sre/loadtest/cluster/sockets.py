"""Which sockets does Locust get instead of its own? (child processes only)

Locust's take anything from anybody, unencrypted. Ours bind where they are told, drop what is not
well formed, and with a key speak CurveZMQ: encrypted, and closed to whoever has another key.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Any

import gevent  # noqa: TID253  child process only
import zmq.green as zmq
from locust.exception import RPCError  # noqa: TID253
from locust.rpc.protocol import Message as _Message  # noqa: TID253
from zmq.utils import z85

from sre.loadtest.cluster.address import Address
from sre.loadtest.cluster.key import derived
from sre.loadtest.cluster.messages import LIMIT, opened

__all__ = ["TURNED_AWAY", "Client", "Message", "Rpc", "Server"]

Message: Any = _Message

TURNED_AWAY = 3
"""Handshakes that fail in a row before we believe that the keys differ."""

_HANDSHAKE_MS = 5000
_ZAP = "inproc://zeromq.zap.01"


class Rpc:
    """Stands where Locust's module of sockets would: makes ours."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def Server(self, host: str, port: int) -> Server:  # noqa: N802  Locust's name
        """The master's."""
        return Server(Address(host, port), self._key)

    def Client(self, host: str, port: int, identity: str) -> Client:  # noqa: N802
        """A worker's."""
        return Client(Address(host, port), identity, self._key)


class _Socket:
    def __init__(self, kind: int, address: Address) -> None:
        self._context: Any = zmq.Context()
        self.socket: Any = self._context.socket(kind)
        self.socket.setsockopt(zmq.MAXMSGSIZE, LIMIT + 1024)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.socket.setsockopt(zmq.LINGER, 1000)
        with contextlib.suppress(ValueError):
            six = ipaddress.ip_address(address.host).version == 6
            self.socket.setsockopt(zmq.IPV6, int(six))

    def close(self, linger: int | None = None) -> None:
        self.socket.close(linger=linger)


class Server(_Socket):
    """Hears all workers; what is not well formed is dropped and never seen by Locust."""

    def __init__(self, address: Address, key: str | None) -> None:
        super().__init__(zmq.ROUTER, address)
        self.dropped = 0
        if key is not None:
            self._doorman = self._context.socket(zmq.REP)
            self._doorman.bind(_ZAP)
            gevent.spawn(self._answer, z85.decode(_public(key, "worker")))
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, _secret(key, "master"))
            self.socket.setsockopt(zmq.ZAP_DOMAIN, b"sre")
        try:
            self.socket.bind(f"tcp://{address}" if address.port else f"tcp://{_any(address)}")
        except zmq.ZMQError as error:
            raise RPCError(error.strerror or str(error)) from error
        bound = self.socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        self.port = int(bound.rpartition(":")[2])

    def send_to_client(self, message: Any) -> None:
        """One that has gone gets nothing, and nobody minds: its silence is noticed elsewhere."""
        with contextlib.suppress(zmq.ZMQError):
            frames = [message.node_id.encode(), message.serialize()]
            self.socket.send_multipart(frames, zmq.NOBLOCK)

    def recv_from_client(self) -> tuple[str, Any]:
        """(client, message) of the next well-formed message."""
        while True:
            try:
                frames = self.socket.recv_multipart()
            except zmq.ZMQError:  # closed: Locust's listener would ask for ever
                raise gevent.GreenletExit from None
            found = opened(frames)
            if found is not None:
                kind, data, client = found
                return client, Message(kind, data, client)
            self.dropped += 1

    def _answer(self, admitted: bytes) -> None:
        """RFC 27 (ZAP): who knows the key of the workers may come in."""
        while True:
            try:
                version, request, _domain, _address, _identity, mechanism, *rest = (
                    self._doorman.recv_multipart()
                )
                good = mechanism == b"CURVE" and rest == [admitted]
                code, text = (b"200", b"OK") if good else (b"400", b"unknown key")
                self._doorman.send_multipart([version, request, code, text, b"", b""])
            except zmq.ZMQError:
                return


class Client(_Socket):
    """A worker's connection to its master; reconnects by itself."""

    def __init__(self, address: Address, identity: str, key: str | None) -> None:
        super().__init__(zmq.DEALER, address)
        self._identity = identity
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # what nobody can take is not kept for later
        self.socket.setsockopt(zmq.RECONNECT_IVL, 250)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        if key is not None:
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, _public(key, "master"))
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, _public(key, "worker"))
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, _secret(key, "worker"))
        self._monitor: Any = self.socket.get_monitor_socket(
            zmq.EVENT_CONNECTED
            | zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        )
        self.turned_away = 0
        gevent.spawn(self._watch)
        self.socket.connect(f"tcp://{address}")

    def send(self, message: Any) -> None:
        """Without a connection it is lost: deltas are numbered, and the watch sees to the rest."""
        with contextlib.suppress(zmq.ZMQError):
            self.socket.send(message.serialize(), zmq.NOBLOCK)

    def recv(self) -> Any:
        """The next well-formed message of the master."""
        while True:
            try:
                frames = self.socket.recv_multipart()
            except zmq.ZMQError:  # closed: Locust's listener would ask for ever
                raise gevent.GreenletExit from None
            found = opened(frames, self._identity)
            if found is not None:
                return Message(found[0], found[1], found[2])

    def _watch(self) -> None:
        """Counts handshakes that failed since the last that did not: another key over there."""
        while True:
            try:
                event, _ = self._monitor.recv_multipart()
            except (zmq.ZMQError, ValueError):
                return
            number = int.from_bytes(event[:2], "little")
            if number == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.turned_away = 0
            elif number == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self.turned_away += TURNED_AWAY  # a key on one side alone: ZeroMQ tries no more
            elif number != zmq.EVENT_CONNECTED:
                self.turned_away += 1


def _secret(key: str, whose: str) -> bytes:
    return z85.encode(derived(key, whose))


def _public(key: str, whose: str) -> bytes:
    return bytes(zmq.curve_public(_secret(key, whose)))


def _any(address: Address) -> str:
    return f"{address}".rpartition(":")[0] + ":*"
