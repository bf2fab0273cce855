"""Does each switch of the fault proxy do its one fault, at once, and does heal() undo it?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.servers.faultproxy import FaultProxy
from tests.servers.net import free_port

pytestmark = pytest.mark.alone

Proxies = Callable[[int], FaultProxy]


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets, and ends when the client does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(2)
    listener.close()


@pytest.fixture
def proxy(fault_proxy: Proxies, echo_port: int) -> FaultProxy:
    return fault_proxy(echo_port)


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connected:
        yield connected


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = client.recv(1 << 20)
        if not piece:
            break
        data += piece
    return data


def test_without_faults_everything_passes_and_the_end_too(client: socket.socket) -> None:
    data = bytes(range(256)) * 20_000
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert exactly(client, len(data)) == data
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_delay_of_each_direction(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.delay(up=0.1, down=0.05)
    start = time.monotonic()
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    assert 0.149 < time.monotonic() - start < 0.6
    proxy.heal()
    start = time.monotonic()
    client.sendall(b"x")
    client.recv(1)
    assert time.monotonic() - start < 0.1


def test_a_drop_holds_everything_until_healed(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    proxy.drop()
    client.sendall(b"b")
    client.settimeout(0.15)
    with pytest.raises(TimeoutError):
        client.recv(1)
    proxy.heal()
    client.settimeout(5)
    assert client.recv(1) == b"b"


def test_reset(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"a")
    client.recv(1)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_one_byte_is_corrupted(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.corrupt(at=3)
    client.sendall(b"\0" * 10)
    assert exactly(client, 10) == b"\0\0\0\xff\0\0\0\0\0\0"


def test_close_after_some_bytes(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.close_after(7)
    client.sendall(b"0123456789")
    assert exactly(client, 10) == b"0123456"


def test_bandwidth(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.bandwidth(200_000)
    start = time.monotonic()
    client.sendall(b"z" * 60_000)
    assert len(exactly(client, 60_000)) == 60_000
    assert 0.25 < time.monotonic() - start < 1.2


def test_a_dead_target_resets_the_client(fault_proxy: Proxies) -> None:
    dead = fault_proxy(free_port())
    # The reset may come before connect() has returned, and is then its error.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", dead.port), timeout=5) as client,
    ):
        client.recv(1)
    assert dead.connections == 1
