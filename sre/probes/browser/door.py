"""Through which door do a browser's connections leave? A SOCKS5 proxy that asks the allow-list.

Chromium is told to reach everything through it and to ask no DNS. So the guard holds for whatever
a page or the browser itself tries: documents, redirects, frames, web sockets, prefetches. The
name is resolved here, once a run, and the connection goes to the admitted address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sre.journey.guard import Admission, Blocked, Unresolved
from sre.journey.result import Outcome, Reason

__all__ = ["Door", "Refusal"]

Place = tuple[str, int]
Admit = Callable[[str, int], Admission]

_CHUNK = 64 * 2**10
_VERSION, _CONNECT, _NO_AUTH = 5, 1, 0
_IPV4, _NAME, _IPV6 = 1, 3, 4
_OK, _NOT_ALLOWED, _UNREACHABLE, _REFUSED = 0, 2, 4, 5


@dataclass(frozen=True)
class Refusal:
    """Why a connection was not made."""

    reason: Reason
    message: str
    outcome: Outcome = Outcome.FAILED

    @property
    def blocked(self) -> bool:
        """The allow-list did not admit it; nothing was sent."""
        return self.outcome is Outcome.BLOCKED


class Door:
    """Listens on a free port of 127.0.0.1 until it is closed; a context manager.

    Args:
        admit: the allow-list's answer; raises Blocked or Unresolved.
        left: seconds that a connection may still take.
        limit: bytes to let in altogether; then every connection is cut.
    """

    def __init__(self, admit: Admit, left: Callable[[], float], limit: int) -> None:
        self._admit, self._left, self._limit = admit, left, limit
        self._lock = threading.Lock()
        self._answers: dict[Place, Admission | Refusal] = {}
        self._failed: dict[Place, Refusal] = {}
        self._asking: dict[Place, threading.Lock] = {}
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.received = 0
        self.overflowed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, admission: Admission) -> None:
        """Take an answer of the allow-list that was asked for before."""
        with self._lock:
            self._answers[admission.host, admission.port] = admission

    def refusal(self, host: str, port: int) -> Refusal | None:
        """Why there was no connection there; None when there was one, or none was tried."""
        return self.places.get((host, port))

    @property
    def places(self) -> dict[Place, Refusal | None]:
        """Every place that was asked for, and why it was refused."""
        with self._lock:
            return {
                place: answer if isinstance(answer, Refusal) else self._failed.get(place)
                for place, answer in self._answers.items()
            }

    def close(self) -> None:
        """Cut everything; no thread of it is left."""
        with self._lock:
            self._closed = True
            victims, threads = list(self._open), list(self._threads)
        for each in (self._listener, *victims):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(1.0)
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=args, name="door", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()
        return thread

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with self._held(client), contextlib.suppress(OSError, ValueError, LookupError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.settimeout(max(0.05, self._left()))
            place = _greeted(client)
            answer = self._connected(*place)
            if isinstance(answer, Refusal):
                client.sendall(_reply(_code(answer)))
                return
            with self._held(answer):
                client.sendall(_reply(_OK))
                client.settimeout(None)
                answer.settimeout(None)
                out = self._start(self._copy, client, answer)
                self._copy(answer, client, inwards=True)
                out.join()

    @contextlib.contextmanager
    def _held(self, one: socket.socket) -> Iterator[None]:
        """Closed at the end; cut from outside when the door closes."""
        with self._lock:
            self._open.add(one)
            if self._closed:
                one.settimeout(0)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(one)
            one.close()

    def _connected(self, host: str, port: int) -> socket.socket | Refusal:
        answer = self._asked(host, port)
        if isinstance(answer, Refusal):
            return answer
        try:
            made = socket.create_connection((answer.address, port), max(0.05, self._left()))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            refusal = Refusal(Reason.TIMEOUT, "no connection in time")
        except OSError as error:
            why = f"cannot connect to {answer.authority}: {error.strerror or error}"
            refusal = Refusal(Reason.CONNECT, why)
        else:
            with self._lock:
                self._failed.pop((host, port), None)
            return made
        with self._lock:
            self._failed[host, port] = refusal
        return refusal

    def _asked(self, host: str, port: int) -> Admission | Refusal:
        """The allow-list's answer, asked for once a run."""
        with self._lock:
            asking = self._asking.setdefault((host, port), threading.Lock())
        with asking:
            known = self._answers.get((host, port))
            if known is not None:
                return known
            try:
                found: Admission | Refusal = self._admit(host, port)
            except Blocked as error:
                found = Refusal(Reason.NONE, str(error), Outcome.BLOCKED)
            except Unresolved as error:
                found = Refusal(Reason.DNS, str(error))
            with self._lock:
                self._answers[host, port] = found
        return found

    def _copy(self, source: socket.socket, target: socket.socket, *, inwards: bool = False) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                if inwards and self._too_much(len(chunk)):
                    break
                target.sendall(chunk)
        for one in (source, target) if self.overflowed else (target,):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR if self.overflowed else socket.SHUT_WR)

    def _too_much(self, size: int) -> bool:
        with self._lock:
            self.received += size
            self.overflowed = self.overflowed or self.received > self._limit
            return self.overflowed


def _greeted(client: socket.socket) -> Place:
    """Where the browser wants to go (RFC 1928)."""
    version, methods = _exactly(client, 2)
    if version != _VERSION or _NO_AUTH not in _exactly(client, methods):
        raise ValueError("no SOCKS5")
    client.sendall(bytes((_VERSION, _NO_AUTH)))
    version, command, _, kind = _exactly(client, 4)
    if version != _VERSION or command != _CONNECT:
        raise ValueError("no SOCKS5 connect")
    if kind == _NAME:
        host = _exactly(client, _exactly(client, 1)[0]).decode("ascii")
    else:
        host = str(ipaddress.ip_address(_exactly(client, {_IPV4: 4, _IPV6: 16}[kind])))
    return host, struct.unpack("!H", _exactly(client, 2))[0]


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            raise ValueError("hung up")
        data += more
    return data


def _code(refusal: Refusal) -> int:
    if refusal.blocked:
        return _NOT_ALLOWED
    return _REFUSED if refusal.reason is Reason.CONNECT else _UNREACHABLE


def _reply(code: int) -> bytes:
    return bytes((_VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0))
