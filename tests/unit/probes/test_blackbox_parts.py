"""Are names, ciphers, bodies and messages read as blackbox_exporter reads them?"""

from __future__ import annotations

import gzip
import ipaddress
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre.probes.blackbox.exposition import as_log, as_text
from sre.probes.blackbox.gonames import go_name
from sre.probes.blackbox.grpc import asked, served, status_of
from sre.probes.blackbox.httpbody import Body, Unreadable
from sre.probes.blackbox.httphop import Answer
from sre.probes.blackbox.httpverdict import content_length, last_modified
from sre.probes.blackbox.model import LogLine, Metrics
from sre.probes.blackbox.resolve import ip_hash
from sre.probes.blackbox.tlsfacts import NEVER, cipher_name, last_chain_expiry
from sre.probes.x509 import Certificate, Name, pem_certificates, read_certificate
from tests.servers.certificates import Authority

NAMES = Path(__file__).parent / "blackbox-names.pem"
SUBJECTS = (
    "CN=localhost,OU=U,O=One+O=Two,L=Muc,ST=Bav,C=DE",
    "SERIALNUMBER=5,CN=localhost,OU=U,O=One,POSTALCODE=9,STREET=S x,L=Muc,ST=Bav,C=DE",
    r"CN=b,OU=U,O=One+O=\#two\ ,C=DE,0.9.2342.19200300.100.1.25=#1303666f6f,"
    "1.2.840.113549.1.9.1=#0c03784079",
    r"CN=localhost,O=Ex\, Inc.,C=DE",
)
"""What blackbox_exporter 0.23 says of the certificates in blackbox-names.pem, in order."""


def test_a_name_is_written_as_go_writes_it() -> None:
    found = [read_certificate(der) for der in pem_certificates(NAMES.read_text(encoding="ascii"))]
    assert tuple(go_name(one.subject) for one in found) == SUBJECTS
    assert all(one.subject == one.issuer and one.dns == ("localhost",) for one in found)


def test_a_certificate_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    for one in Authority(tmp_path).issued.values():
        found = read_certificate(pem_certificates(one.chain_file.read_text())[0])
        assert found.fingerprint == one.fingerprint
        assert found.expires == one.expires
        assert found.begins == one.certificate.not_valid_before_utc.timestamp()


@given(st.binary(max_size=200))
def test_nonsense_is_no_certificate(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a certificate"):
        read_certificate(data)


def test_a_certificate_with_a_wrong_byte_is_read_or_refused() -> None:
    der = pem_certificates(NAMES.read_text(encoding="ascii"))[2]
    refused = 0
    for at in range(len(der)):
        for wrong in (0x00, 0x30, 0x80, 0xFF):
            try:
                read_certificate(der[:at] + bytes([wrong]) + der[at + 1 :])
            except ValueError:
                refused += 1
    assert refused > 50


def called(name: str) -> Name:
    return (("2.5.4.3", name.encode(), 12),)


def certificate(name: str, issuer: str, ends: float) -> Certificate:
    return Certificate(
        f"{name}{ends}", "1", called(name), called(issuer), 0, ends, "rsa", 0, "other"
    )


def test_the_longest_lasting_way_to_a_trusted_certificate_counts() -> None:
    leaf, cross = certificate("leaf", "mid", 50), certificate("mid", "old", 40)
    mid, roots = certificate("mid", "root", 45), {
        called("root"): [certificate("root", "root", 100)],
        called("old"): [certificate("old", "old", 10)],
    }  # fmt: skip
    assert last_chain_expiry([leaf, mid], roots) == 45
    assert last_chain_expiry([leaf, cross], roots) == 10
    assert last_chain_expiry([leaf, cross, mid], roots) == 45
    assert last_chain_expiry([leaf], roots) == NEVER
    assert last_chain_expiry([certificate("root", "root", 100)], roots) == 100


@pytest.mark.parametrize(
    ("openssl", "registered"),
    [
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384"),
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("DES-CBC3-SHA", "DES-CBC3-SHA"),
    ],
)
def test_a_cipher_has_its_registered_name(openssl: str, registered: str) -> None:
    assert cipher_name(openssl) == registered


def test_the_hash_of_an_address_is_gos() -> None:
    assert ip_hash("127.0.0.1") == 3668918509  # as blackbox_exporter 0.23 says
    assert ip_hash("::1") != ip_hash(str(ipaddress.ip_address("::2")))


def fed(body: Body, data: bytes, size: int = 7) -> Body:
    for at in range(0, len(data), size):
        body.take(data[at : at + size])
    body.finish()
    return body


@pytest.mark.parametrize(
    ("compression", "data"),
    [
        ("", b"hello" * 100),
        ("identity", b"hello" * 100),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)),
        ("GZIP", gzip.compress(b"hello" * 60, mtime=0) + gzip.compress(b"hello" * 40, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 100, wbits=-15)),
    ],
)
def test_a_body_is_decoded_and_counted(compression: str, data: bytes) -> None:
    body = fed(Body(compression, 0, keep=True), data)
    assert (body.size, body.text) == (500, b"hello" * 100)
    assert fed(Body(compression, 0, keep=False), data).text == b""


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    body = Body("gzip", 1000, keep=True)
    with pytest.raises(Unreadable, match="larger than 1000 bytes"):
        fed(body, bomb, 16384)
    assert body.size == len(body.text) == 1000
    unlimited = Body("gzip", 0, keep=True)
    with pytest.raises(Unreadable, match="larger than 16777216 bytes"):
        fed(unlimited, bomb, 16384)


@pytest.mark.parametrize(
    "data", [b"", b"no gzip at all", gzip.compress(b"hello" * 100, mtime=0)[:-9]]
)
def test_what_is_not_compressed_as_promised_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        fed(Body("gzip", 0, keep=False), data)


def answer(*headers: tuple[str, str], status: int = 200, protocol: str = "HTTP/1.1") -> Answer:
    return Answer(Body("", 0, keep=False), status, protocol, list(headers))


def test_the_length_is_what_the_answer_says() -> None:
    assert content_length(answer(("content-length", "12")), "GET") == 12
    assert content_length(answer(), "GET") == -1
    assert content_length(answer(status=204), "GET") == 0
    assert content_length(answer(protocol="HTTP/2.0"), "GET") == 0
    assert content_length(answer(protocol="HTTP/2.0"), "HEAD") == -1
    chunked = answer(("content-length", "12"), ("transfer-encoding", "chunked"))
    assert content_length(chunked, "GET") == -1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_is_read_in_each_of_its_three_forms(text: str, seconds: float | None) -> None:
    assert last_modified(answer(("last-modified", text))) == seconds


def test_a_health_question_and_its_answer() -> None:
    assert asked("") == b"\0\0\0\0\0"
    assert asked("service1") == b"\0\0\0\0\x0a\x0a\x08service1"
    assert asked("s" * 200)[:8] == b"\0\0\0\0\xcb\x0a\xc8\x01"
    assert served(b"\0\0\0\0\x02\x08\x01") == "SERVING"
    assert served(b"\0\0\0\0\x02\x08\x02") == "NOT_SERVING"
    assert served(b"\0\0\0\0\0") == served(b"") == served(b"\0\0\0\0\x02\x08\x63") == "UNKNOWN"


def test_a_grpc_status_is_the_servers_or_the_transports() -> None:
    assert status_of(answer(("grpc-status", "5")), timed_out=False) == 5
    assert status_of(answer(status=404), timed_out=False) == 12
    assert status_of(answer(), timed_out=False) == 2
    broken = answer(status=0)
    broken.error = "refused"
    assert status_of(broken, timed_out=False) == 14
    assert status_of(broken, timed_out=True) == 4


def test_gauges_become_text_and_a_log_becomes_lines() -> None:
    metrics = Metrics()
    metrics.zero("probe_success")
    metrics.set("probe_ip_addr_hash", 3668918509)
    metrics.add("probe_http_duration_seconds", 0.5, phase="tls")
    metrics.set("probe_expect_info", 1, words='a"b\\c\nd')
    with pytest.raises(KeyError):
        metrics.set("probe_of_nobody", 1)
    text = as_text(metrics)
    assert 'probe_expect_info{words="a\\"b\\\\c\\nd"} 1\n' in text
    assert 'probe_http_duration_seconds{phase="tls"} 0.5\n' in text
    assert "probe_ip_addr_hash 3668918509\n" in text
    assert text.endswith("# TYPE probe_success gauge\nprobe_success 0\n")
    line = LogLine(1.5, "info", "Two words", (("n", 1), ("said", 'a "b"'), ("none", "")))
    assert as_log([line], "m", "t") == (
        'ts=1970-01-01T00:00:01.500Z module=m target=t level=info msg="Two words" n=1 '
        'said="a \\"b\\"" none=""'
    )
