"""Does the `tls` kind see a server's certificate, protocols and STARTTLS as they are?"""

from __future__ import annotations

import datetime
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.kinds.tls import TlsProbe
from sre.probes.model import ProbeContext, Reading
from sre.probes.x509 import read_certificate
from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until
from tests.servers.postgresql import _owner, running_postgres
from tests.servers.talks import STARTTLS, Step, server_context, talking
from tests.servers.tls import TlsServers

TLS: list[Step] = [("tls", "")]


def look(port: int, tls: TlsServers | None = None, seconds: float = 5.0, **keys: Any) -> Reading:
    guard, shop = Guard(("127.0.0.1:*", "localhost:*")), Shop("t", "http://127.0.0.1:1")
    context = ProbeContext(Deadline.after(seconds), guard, shop, SystemClock())
    trust = {} if tls is None else {"ca_file": tls.ca_file}
    return TlsProbe("localhost", port, **(trust | keys)).check(context)


def verdict(reading: Reading) -> tuple[Outcome, Reason]:
    return reading.outcome, reading.reason


def values(reading: Reading) -> dict[str, Any]:
    return {
        gauge.name.removeprefix("sre_probe_tls_"): dict(gauge.labels) or gauge.value
        for gauge in reading.gauges
    }


@pytest.mark.parametrize("protocol", STARTTLS)
def test_starttls(protocol: Any, tls_servers: TlsServers) -> None:
    with talking(STARTTLS[protocol], server_context(tls_servers)) as server:
        reading = look(server.port, tls_servers, starttls=protocol)
        assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
        assert server.wrong == []
    assert list(reading.steps[0].phases) == ["resolve", "connect", "tls", "processing"]
    with talking(STARTTLS[protocol], server_context(tls_servers, "expired")) as server:
        reading = look(server.port, tls_servers, starttls=protocol)
    assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
    assert reading.message.startswith("expired 1.0 days ago")
    assert (
        values(reading)["certificate_info"]["fingerprint_sha256"]
        == (tls_servers.fingerprints["expired"])
    )


@pytest.mark.parametrize(
    ("protocol", "script", "words"),
    [
        ("smtp", [("say", "220 x\r\n"), ("hear", ""), ("say", "250-x\r\n250 HELP\r\n")], "refused"),
        ("smtp", [("say", "421 busy\r\n")], "refused"),
        ("imap", [("say", "* OK x\r\n"), ("hear", ""), ("say", "a1 BAD no\r\n")], "refused"),
        ("pop3", [("say", "+OK x\r\n"), ("hear", ""), ("say", "-ERR no\r\n")], "refused"),
        ("ftp", [("say", "220 x\r\n"), ("hear", ""), ("say", "500 no\r\n")], "refused"),
        ("imap", [("say", "* OK x\r\n"), ("hear", ""), ("close", "")], "closed"),
        ("postgres", [("say", "N")], "refused"),
        ("postgres", [("say", "SSH-2.0\r\n")], "no server of PostgreSQL"),
    ],
)
def test_no_starttls_is_told_at_once(protocol: Any, script: list[Step], words: str) -> None:
    with talking(script) as server:
        began = time.monotonic()
        reading = look(server.port, starttls=protocol)
        assert time.monotonic() - began < 3
    assert verdict(reading) == (Outcome.FAILED, Reason.PROTOCOL)
    assert reading.message.startswith("no STARTTLS: ")
    assert words in reading.message


@pytest.mark.parametrize("where", [[("hang", "")], [("say", "220 x\r\n"), ("hang", "")]])
def test_a_silent_server_ends_at_the_deadline(where: list[Step]) -> None:
    with talking(where) as server:
        began = time.monotonic()
        reading = look(server.port, seconds=0.4, starttls="smtp")
        assert time.monotonic() - began < 4
    assert verdict(reading) == (Outcome.FAILED, Reason.TIMEOUT)


@contextmanager
def readable_by_the_server(tls: TlsServers) -> Iterator[dict[str, str]]:
    """Certificate and key where a server that drops its privileges can read them."""
    folder = Path(tempfile.mkdtemp(prefix="sre-test-tls-", dir="/tmp"))
    folder.chmod(0o755)
    paths = {"cert": folder / "cert.pem", "key": folder / "key.pem"}
    try:
        shutil.copy(tls.cert_file("good"), paths["cert"])
        shutil.copy(tls.key_file("good"), paths["key"])
        owner = _owner()
        if owner is not None:
            for path in paths.values():
                os.chown(path, *owner)
        yield {name: str(path) for name, path in paths.items()}
    finally:
        shutil.rmtree(folder)


def test_a_real_postgresql(tls_servers: TlsServers) -> None:
    with readable_by_the_server(tls_servers) as files:
        settings = {"ssl_cert_file": f"'{files['cert']}'", "ssl_key_file": f"'{files['key']}'"}
        with running_postgres("15", ssl="on", **settings) as server:
            reading = look(server.port, tls_servers, starttls="postgres")
            assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
            assert values(reading)["version_info"] == {"version": "TLSv1.3"}
            server.sql("alter system set ssl = off")
            server.sql("select pg_reload_conf()")
            wait_until(lambda: server.sql("show ssl") == [("off",)], 10, "ssl = off")
            reading = look(server.port, tls_servers, starttls="postgres")
            assert reading.message == "no STARTTLS: the server refused"


EXIM = """
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
primary_hostname = mail.shop.test
spool_directory = {home}
log_file_path = {home}/%slog
pid_file_path = {home}/pid
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
keep_environment =
begin acl
begin routers
begin transports
"""


def test_a_real_mail_server(tls_servers: TlsServers, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("exim takes a configuration of somebody else from root alone")
    home, port = Path(tempfile.mkdtemp(prefix="sre-test-exim-", dir="/tmp")), free_port()
    home.chmod(0o777)
    try:
        with readable_by_the_server(tls_servers) as files:
            Path(files["key"]).chmod(0o644)
            config = home / "exim.conf"
            config.write_text(EXIM.format(port=port, home=home, **files), encoding="utf-8")
            argv = [program("exim4"), "-C", str(config), "-bdf"]
            with child(argv, home=tmp_path):
                wait_until(lambda: look(port).reason is not Reason.CONNECT, 10, "exim")
                reading = look(port, tls_servers, starttls="smtp")
        assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
        assert values(reading)["chain_certificates"] == 1
    finally:
        shutil.rmtree(home)


def test_the_protocols_that_a_server_accepts(tls_servers: TlsServers) -> None:
    found = accepted(look(tls_servers.tls12_only, tls_servers, versions=True))
    assert found == {"TLSv1.0": 0, "TLSv1.1": 0, "TLSv1.2": 1, "TLSv1.3": 0}
    reading = look(tls_servers.good, tls_servers, versions=True)
    assert accepted(reading) == {"TLSv1.0": 0, "TLSv1.1": 0, "TLSv1.2": 1, "TLSv1.3": 1}
    assert reading.outcome is Outcome.OK
    strict = look(tls_servers.good, tls_servers, versions=True, min_version="TLSv1.3")
    assert strict.message == "accepts TLSv1.2, older than min_version TLSv1.3"


def accepted(reading: Reading) -> dict[str, float]:
    name = "sre_probe_tls_version_accepted"
    return {gauge.labels[0][1]: gauge.value for gauge in reading.gauges if gauge.name == name}


def test_a_server_that_still_accepts_old_protocols(tls_servers: TlsServers) -> None:
    context = server_context(tls_servers)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    with talking(TLS, context) as server:
        reading = look(server.port, tls_servers, versions=True)
        assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
        assert reading.message == "accepts TLSv1.0 and TLSv1.1, older than min_version TLSv1.2"
        assert look(server.port, tls_servers).outcome is Outcome.OK, "only where it is asked for"
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1
    with talking(TLS, context) as server:
        reading = look(server.port, tls_servers)
    assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
    assert reading.message == "speaks TLSv1.0 at most; min_version is TLSv1.2"
    assert values(reading)["version_info"] == {"version": "TLSv1.0"}
    assert values(reading)["verified"] == 0


def test_alpn(tls_servers: TlsServers) -> None:
    reading = look(tls_servers.good, tls_servers, alpn=("h2", "http/1.1"))
    assert (reading.outcome, values(reading)["alpn_info"]) == (
        Outcome.OK, {"protocol": "http/1.1"},
    )  # fmt: skip
    reading = look(tls_servers.good, tls_servers, alpn=("h2",))
    assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
    assert reading.message == "the server takes none of alpn: h2"


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("wrong_host", "is not for localhost; it names wrong.example.test"),
        ("self_signed", "the certificate is signed by itself"),
    ],
)
def test_why_it_is_not_trusted(label: str, words: str, tls_servers: TlsServers) -> None:
    reading = look(getattr(tls_servers, label), tls_servers)
    assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
    assert words in reading.message
    found = values(reading)
    assert found["certificate_expiry_timestamp_seconds"] == tls_servers.expires[label]
    assert "chain_expiry_timestamp_seconds" not in found


def test_a_missing_intermediate_is_named(tls_servers: TlsServers, tmp_path: Path) -> None:
    alone = tmp_path / "alone.pem"
    chain = Path(tls_servers.cert_file("chain")).read_text(encoding="ascii")
    alone.write_text(
        chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(alone, tls_servers.key_file("chain"))
    with talking(TLS, context) as server:
        reading = look(server.port, tls_servers)
    assert reading.message.endswith("; the server sends no intermediate certificate")


def test_a_certificate_that_expired_but_is_not_needed(
    tls_servers: TlsServers, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    files = [Path(tls_servers.cert_file(label)) for label in ("good", "expired")]
    both.write_text("".join(file.read_text(encoding="ascii") for file in files))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both, tls_servers.key_file("good"))
    with talking(TLS, context) as server:
        reading = look(server.port, tls_servers)
    assert verdict(reading) == (Outcome.DEGRADED, Reason.TLS)
    assert "also sends a certificate that has expired" in reading.message
    found = values(reading)
    assert found["chain_certificates"] == 2
    assert found["earliest_expiry_timestamp_seconds"] == tls_servers.expires["expired"]
    assert found["chain_expiry_timestamp_seconds"] == tls_servers.expires["good"]


def test_a_certificate_of_ours(tls_servers: TlsServers) -> None:
    mine: dict[str, Any] = {
        "cert_file": tls_servers.cert_file("client"),
        "key_file": tls_servers.key_file("client"),
    }
    assert look(tls_servers.mutual, tls_servers, **mine).outcome is Outcome.OK


def made(key: Any, *, names: int = 1, common: str = "x", mail: bool = False) -> x509.Certificate:
    """A certificate that signs itself, with strange names."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if mail:
        attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b.test"))
    alternatives = [x509.DNSName(f"host{number}.shop.test") for number in range(names)]
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA384()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name(attributes))
        .public_key(key.public_key())
        .serial_number(2**100 + 7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(datetime.datetime(2051, 2, 3, 4, 5, 6, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, digest)
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (rsa.generate_private_key(65537, 2048), ("rsa", 2048, "sha384-rsa")),
        (ec.generate_private_key(ec.SECP384R1()), ("ecdsa", 384, "sha384-ecdsa")),
        (ed25519.Ed25519PrivateKey.generate(), ("ed25519", 256, "ed25519")),
        (dsa.generate_private_key(1024), ("dsa", 0, "other")),
    ],
)
def test_what_a_certificate_says(key: Any, expected: tuple[str, int, str]) -> None:
    one = made(key, names=1500, common="ünï\x00\x1b" + "x" * 30, mail=True)
    der = one.public_bytes(serialization.Encoding.DER)
    found = read_certificate(der)
    assert (found.key, found.bits, found.signature) == expected
    assert int(found.serial, 16) == one.serial_number
    assert (found.begins, found.expires) == (
        one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp(),
    )  # fmt: skip
    assert found.fingerprint == one.fingerprint(hashes.SHA256()).hex()
    assert (len(found.dns), found.dns[0]) == (1000, "host0.shop.test")


def test_no_certificate_makes_it_crash() -> None:
    der = made(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.DER)
    for at in range(len(der)):
        for broken in (der[:at], der[:at] + b"\xff" + der[at + 1 :]):
            try:
                read_certificate(broken)
            except ValueError:
                continue


def test_nasty_names_in_a_message(tls_servers: TlsServers, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    one, files = made(key, names=50), (tmp_path / "c.pem", tmp_path / "k.pem")
    files[0].write_bytes(one.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with talking(TLS, context) as server:
        reading = look(server.port, ca_file=str(files[0]))
    assert reading.message == (
        "the certificate is not for localhost; it names host0.shop.test, host1.shop.test, "
        "host2.shop.test and 47 more"
    )
