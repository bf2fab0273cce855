"""Does each TLS server have the one fault it is named after, and no other?"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.tls import TlsServers

pytestmark = pytest.mark.alone


@contextmanager
def session(
    servers: TlsServers, port: int, host: str = "localhost", **versions: ssl.TLSVersion
) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=servers.ca_file)
    for name, value in versions.items():
        setattr(context, name, value)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=3) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        yield secure


def test_good_answers_and_is_what_the_fixture_says(tls_servers: TlsServers) -> None:
    with session(tls_servers, tls_servers.good, "127.0.0.1") as secure:
        der = secure.getpeercert(binary_form=True)
        facts = secure.getpeercert()
        secure.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: secure.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"TLSv1.3\n")
    assert der is not None
    assert facts is not None
    assert hashlib.sha256(der).hexdigest() == tls_servers.fingerprints["good"]
    assert ssl.cert_time_to_seconds(str(facts["notAfter"])) == tls_servers.expires["good"]
    assert tls_servers.expires["good"] > time.time() + 80 * 86400


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("expired", "certificate has expired"),
        ("self_signed", "self-signed certificate"),
        ("wrong_host", "Hostname mismatch"),
    ],
)
def test_a_bad_certificate_is_bad_in_its_own_way(
    tls_servers: TlsServers, label: str, reason: str
) -> None:
    with (
        pytest.raises(ssl.SSLCertVerificationError, match=reason),
        session(tls_servers, getattr(tls_servers, label)),
    ):
        pass


def test_expired_is_past_and_the_intermediate_ends_before_its_leaf(
    tls_servers: TlsServers,
) -> None:
    assert tls_servers.expires["expired"] < time.time()
    assert time.time() < tls_servers.expires["intermediate"] < tls_servers.expires["chain"]


def test_the_chain_is_sent_and_good(tls_servers: TlsServers) -> None:
    with session(tls_servers, tls_servers.chain) as secure:
        assert secure.version() == "TLSv1.3"


def test_tls12_only(tls_servers: TlsServers) -> None:
    with session(tls_servers, tls_servers.tls12_only) as secure:
        assert secure.version() == "TLSv1.2"
    with (
        pytest.raises(ssl.SSLError),
        session(tls_servers, tls_servers.tls12_only, minimum_version=ssl.TLSVersion.TLSv1_3),
    ):
        pass


def test_mutual_wants_a_client_certificate(tls_servers: TlsServers) -> None:
    context = ssl.create_default_context(cafile=tls_servers.ca_file)
    context.load_cert_chain(tls_servers.cert_file("client"), tls_servers.key_file("client"))
    with (
        socket.create_connection(("127.0.0.1", tls_servers.mutual), timeout=3) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert secure.recv(12) == b"HTTP/1.1 200"
    # In TLS 1.3 the refusal reaches the client only with its first read.
    with (
        session(tls_servers, tls_servers.mutual) as secure,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        secure.recv(1)


def test_the_handshake_stalls(tls_servers: TlsServers) -> None:
    context = ssl.create_default_context(cafile=tls_servers.ca_file)
    with socket.create_connection(("127.0.0.1", tls_servers.handshake_stall)) as plain:
        plain.settimeout(0.1)
        with pytest.raises(TimeoutError):
            context.wrap_socket(plain, server_hostname="localhost")


def test_keys_are_private(tls_servers: TlsServers) -> None:
    mode = tls_servers.issued["good"].key_file.stat().st_mode
    assert mode & 0o777 == 0o600
