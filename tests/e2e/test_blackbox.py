"""Does our /probe tell the same as blackbox_exporter, family for family, on the same targets?"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.servers.blackbox import Peers, Samples, serving
from tests.servers.examples import check_metrics

ADDED = {
    "probe_failed_due_to_cel": "0.26",
    "probe_timeout_seconds": "0.28",
    "probe_tls_cipher_info": "0.26",
}
"""Families that blackbox_exporter has only since a later version than 0.23."""

Times = dict[object, tuple[list[float], list[float]]]

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
    "a redirect to an address in UTF-8": ("plain", "{web}/accent"),
    "a redirect by who is referred already": ("referer", "{web}/referred"),
    "dots in the path": ("plain", "{web}/up/../down"),
    "a body in Latin-1": ("spans", "{web}/old"),
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
    "silence": ("brief", "{web}/silence"),
    "half a body": ("brief", "{web}/half"),
    "half a body that should match": ("brief_matches", "{web}/half"),
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
    """Times further apart than they may be, after as many rounds as it takes.

    Medians decide; on a busy machine, where they tell of its scheduler, the best of ten rounds.
    """
    times: Times = defaultdict(lambda: ([], []))
    apart: dict[object, tuple[float, float]] = {}
    for _ in range(PATIENCE):
        for _ in range(ROUNDS):
            theirs, ours = peers.both(module, target)
            compare(theirs, ours)
            for key in theirs:
                if is_duration(key[0]):
                    times[key][0].append(theirs[key])
                    times[key][1].append(ours[key])
        apart = _apart(times, statistics.median)
        rounds = max((len(theirs) for theirs, _ in times.values()), default=0)
        if apart and rounds >= 10:
            apart = _apart(times, min)
        if not apart:
            break
    return apart


def _apart(times: Times, of: Callable[[list[float]], float]) -> dict[object, tuple[float, float]]:
    pairs = {key: (of(theirs), of(ours)) for key, (theirs, ours) in times.items()}
    return {key: (a, b) for key, (a, b) in pairs.items() if abs(a - b) > NEAR}


@pytest.mark.parametrize("case", CASES)
def test_it_tells_the_same(peers: Peers, case: str) -> None:
    assert far(peers, *CASES[case]) == {}


@pytest.mark.parametrize("case", SLOW)
def test_it_tells_the_same_when_time_is_up(peers: Peers, case: str) -> None:
    theirs, ours = peers.both(*SLOW[case])
    compare(theirs, ours)
    for key, value in theirs.items():
        if is_duration(key[0]):
            assert ours[key] == pytest.approx(value, abs=0.25), key


def test_promtool_has_nothing_to_say_about_it(peers: Peers) -> None:
    for case in ("a page", "trusted", "a dead port", "gRPC over TLS"):
        answer = peers.get(peers.ours, *CASES[case])
        check_metrics(answer.text)
    check_metrics(peers.session.get(f"{peers.ours}/metrics", timeout=10).text)


def test_debug_says_what_was_done(peers: Peers) -> None:
    theirs, ours = (
        peers.get(base, *CASES["two redirects"], debug="true").text
        for base in (peers.theirs, peers.ours)
    )
    for text in (theirs, ours):
        assert text.startswith("Logs for the probe:\nts=")
        assert 'msg="Received redirect"' in text
        assert 'msg="Probe succeeded"' in text
        assert "\n\n\nMetrics that would have been returned:\n# HELP" in text
        assert "\n\n\nModule configuration:\nprober: http\n" in text


def test_a_bad_request_gets_the_same_answer(peers: Peers) -> None:
    for query in ("", "module=nope&target=a", "module=plain"):
        answers = [
            peers.session.get(f"{base}/probe?{query}", timeout=10)
            for base in (peers.theirs, peers.ours)
        ]
        assert [answer.status_code for answer in answers] == [400, 400]
        if query:  # without a module, one of them has no http_2xx here
            assert answers[0].text == answers[1].text


def test_a_reload_reads_the_file_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    modules = tmp_path / "blackbox.yml"
    modules.write_text("modules: {first: {prober: http}}\n", encoding="utf-8")
    with ExitStack() as stack:
        url = serving(stack, tmp_path / "home", modules)

        def known(module: str) -> bool:
            answer = requests.get(f"{url}/probe", {"module": module}, timeout=10)
            assert answer.status_code == 400
            return answer.text == "Target parameter is missing\n"

        def reloaded() -> requests.Response:
            return requests.post(f"{url}/-/reload", timeout=20)

        assert known("first")
        modules.write_text("modules: {second: {prober: http}}\n", encoding="utf-8")
        assert reloaded().status_code == 200
        assert known("second")
        assert not known("first")
        modules.write_text("modules: {third: {prober: htp}}\n", encoding="utf-8")
        answer = reloaded()
        assert answer.status_code == 500
        assert f"{modules}:1:27 modules.third.prober: unknown prober 'htp'" in answer.text
        assert known("second")
        assert requests.get(f"{url}/config", timeout=10).status_code == 403
