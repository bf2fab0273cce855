"""Does our /probe tell the same as blackbox_exporter, family for family, on the same targets?"""

from __future__ import annotations

import statistics
from collections import defaultdict

import pytest

from tests.servers.blackbox import Peers, Samples

ADDED = {
    "probe_failed_due_to_cel": "0.26",
    "probe_timeout_seconds": "0.28",
    "probe_tls_cipher_info": "0.26",
}
"""Families that blackbox_exporter has only since a later version than 0.23."""

NEAR = 0.005
ROUNDS, PATIENCE = 3, 10

CASES = {
    "a page": ("plain", "{web}/"),
    "a target without a scheme": ("plain", "{bare}/ok"),
    "a name": ("plain", "{named}/ok?a=b%20c"),
    "not found": ("plain", "{web}/nothing"),
    "a status that is listed": ("codes", "{web}/nothing"),
    "two redirects": ("plain", "{web}/hop/2"),
    "ten redirects": ("plain", "{web}/hop/10"),
    "a loop": ("plain", "{web}/loop"),
    "a redirect that may not be followed": ("stay", "{web}/hop/2"),
    "a redirect without a place": ("plain", "{web}/nowhere"),
    "a redirect to another name": ("plain", "{web}/other"),
    "a redirect to a dead port": ("plain", "{web}/away"),
    "a redirect that repeats the body": ("post", "{web}/again"),
    "a redirect that drops the body": ("post", "{web}/hop/1"),
    "a cookie on the way": ("plain", "{web}/cookie"),
    "a slow body": ("plain", "{web}/slow"),
    "no body": ("plain", "{web}/empty"),
    "chunks and a date": ("plain", "{web}/chunks"),
    "compressed, not asked for": ("plain", "{web}/gzip"),
    "compressed": ("gzip", "{web}/gzip"),
    "a body larger than the limit": ("small", "{web}/ok"),
    "a posted body": ("post", "{web}/echo"),
    "HEAD": ("head", "{web}/ok"),
    "a password": ("basic", "{web}/login"),
    "a token": ("bearer", "{web}/login"),
    "no password": ("plain", "{web}/login"),
    "a host of its own": ("host", "{web}/vhost"),
    "a body that matches": ("matches", "{web}/ok"),
    "a body that does not match": ("matches", "{web}/gzip"),
    "a body as wanted": ("matches_not", "{web}/ok"),
    "a body that is not as wanted": ("matches_not", "{web}/gzip"),
    "a header that matches": ("header", "{web}/ok"),
    "a header that is missing": ("header", "{web}/gzip"),
    "a header that may be missing": ("header_optional", "{web}/gzip"),
    "a header as wanted": ("header_optional", "{web}/ok"),
    "a version that is not wanted": ("http2_alone", "{web}/ok"),
    "no TLS where it must be": ("ssl", "{web}/ok"),
    "a connection that is cut": ("plain", "{web}/cut"),
    "a server that hangs up": ("plain", "{web}/hangup"),
    "a server of another protocol": ("plain", "{web}/nonsense"),
    "a dead port": ("plain", "http://127.0.0.1:1/"),
    "a name without an address": ("plain", "http://nx.invalid/"),
    "no address of the only protocol": ("ip6_alone", "{web}/"),
    "IPv6": ("ip6", "{six}/ok"),
    "no TLS there": ("plain", "https://{bare}/"),
    "not trusted": ("plain", "{good}/"),
    "trusted": ("trusted", "{good}/"),
    "trusted over an intermediate": ("trusted", "{chain}/"),
    "expired": ("trusted", "{expired}/"),
    "self-signed": ("trusted", "{self_signed}/"),
    "of another host": ("trusted", "{wrong_host}/"),
    "of another host, which is asked for": ("trusted_as", "{wrong_host}/"),
    "expired, and nobody minds": ("insecure", "{expired}/"),
    "self-signed, and nobody minds": ("insecure", "{self_signed}/"),
    "TLS where it must not be": ("no_ssl", "{good}/"),
    "HTTP/2": ("insecure", "{http2}/"),
    "HTTP/2 without a body": ("insecure", "{http2}/empty"),
    "HTTP/2 after a redirect": ("insecure", "{http2}/hop"),
    "HTTP/2 switched off": ("http1", "{http2}/"),
    "gRPC": ("grpc", "{grpc}"),
    "gRPC over TLS": ("grpc_tls", "{grpc_tls}"),
    "gRPC, a dead port": ("grpc", "127.0.0.1:1"),
    "gRPC, a web server": ("grpc", "{bare}"),
}
SLOW = {
    "silence": ("plain", "{web}/silence"),
    "half a body": ("plain", "{web}/half"),
    "half a body that should match": ("matches", "{web}/half"),
}


def is_duration(name: str) -> bool:
    return "duration_seconds" in name or "lookup_time" in name


def compare(theirs: Samples, ours: Samples) -> None:
    """The same families with the same labels, and the same values but for times."""
    known = {key: value for key, value in ours.items() if key[0] not in ADDED}
    assert known.keys() == theirs.keys()
    exact = {key: value for key, value in theirs.items() if not is_duration(key[0])}
    assert {key: known[key] for key in exact} == exact


def far(peers: Peers, module: str, target: str) -> dict[object, tuple[float, float]]:
    """Times whose medians are further apart than they may be, after as many rounds as it takes."""
    times: dict[object, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    apart: dict[object, tuple[float, float]] = {}
    for _ in range(PATIENCE):
        for _ in range(ROUNDS):
            theirs, ours = peers.both(module, target)
            compare(theirs, ours)
            for key in theirs:
                if is_duration(key[0]):
                    times[key][0].append(theirs[key])
                    times[key][1].append(ours[key])
        medians = {key: tuple(map(statistics.median, both)) for key, both in times.items()}
        apart = {key: (a, b) for key, (a, b) in medians.items() if abs(a - b) > NEAR}
        if not apart:
            break
    return apart


@pytest.mark.parametrize("case", CASES)
def test_it_tells_the_same(peers: Peers, case: str) -> None:
    assert far(peers, *CASES[case]) == {}


@pytest.mark.parametrize("case", SLOW)
def test_it_tells_the_same_when_time_is_up(peers: Peers, case: str) -> None:
    theirs, ours = peers.both(*SLOW[case])
    compare(theirs, ours)
    for key, value in theirs.items():
        if is_duration(key[0]):
            assert ours[key] == pytest.approx(value, abs=0.05), key
