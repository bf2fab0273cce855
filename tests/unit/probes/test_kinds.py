"""Do the kinds judge as they say, beyond what the contract of all kinds asks?"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.units import Duration, Share
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.hostparts import Found
from sre.probes.kinds.host import HostProbe, Limits
from sre.probes.kinds.host import judge as judge_host
from sre.probes.kinds.http import HttpProbe
from sre.probes.kinds.tcp import TcpProbe
from sre.probes.kinds.tls import ExpiresWithin, Seen, TlsProbe, judge
from sre.probes.model import ProbeContext, Reading
from tests.servers.hostile import Hostile
from tests.servers.net import reset_on_close
from tests.servers.tls import TlsServers

DAY = 86400.0
NOW = 1_795_000_000.0


def context(seconds: float = 3.0, base_url: str = "http://127.0.0.1:1") -> ProbeContext:
    guard = Guard(("127.0.0.1:*", "localhost:*", "[::1]:*"))
    return ProbeContext(Deadline.after(seconds), guard, Shop("t", base_url), SystemClock())


@contextmanager
def answering(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that does `talk` with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(2)


def verdict(reading: Reading) -> tuple[Outcome, Reason]:
    return reading.outcome, reading.reason


class TestTcp:
    def test_sends_and_matches_an_answer_in_pieces(self):
        def redis(connection: socket.socket) -> None:
            assert connection.recv(100) == b"PING\r\n"
            connection.sendall(b"+PO")
            threading.Event().wait(0.05)
            connection.sendall(b"NG\r\n")

        with answering(redis) as port:
            probe = TcpProbe("127.0.0.1", port, send="PING\r\n", expect=r"^\+PONG")
            reading = probe.check(context())
        assert verdict(reading) == (Outcome.OK, Reason.NONE)
        assert reading.steps[0].phases["processing"] >= 0.04  # it may connect a little late

    def test_an_ipv6_address(self):
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            port = listener.getsockname()[1]
            assert verdict(TcpProbe("::1", port).check(context())) == (Outcome.OK, Reason.NONE)

    def test_another_answer(self):
        with answering(lambda c: c.sendall(b"-ERR go away\r\n")) as port:
            reading = TcpProbe("127.0.0.1", port, expect="PONG").check(context())
        assert verdict(reading) == (Outcome.FAILED, Reason.BODY)
        assert "ERR" not in reading.message, "the answer itself may be a secret"

    def test_no_end_of_an_answer_is_cut_off(self):
        def flood(connection: socket.socket) -> None:
            try:
                while True:
                    connection.sendall(b"x" * 4096)
            except OSError:
                return

        with answering(flood) as port:
            reading = TcpProbe("127.0.0.1", port, expect="PONG").check(context())
        assert verdict(reading) == (Outcome.FAILED, Reason.BODY)

    def test_a_reset(self):
        def reset(connection: socket.socket) -> None:
            connection.recv(10)
            reset_on_close(connection)

        with answering(reset) as port:
            reading = TcpProbe("127.0.0.1", port, send="x", expect="PONG").check(context())
        assert verdict(reading) == (Outcome.FAILED, Reason.PROTOCOL)

    def test_over_tls(self, tls_servers: TlsServers):
        request = "GET / HTTP/1.0\r\n\r\n"
        good = TcpProbe(
            "localhost", tls_servers.good, send=request, expect="TLSv1", tls=True,
            ca_file=tls_servers.ca_file,
        )  # fmt: skip
        reading = good.check(context())
        assert verdict(reading) == (Outcome.OK, Reason.NONE)
        assert list(reading.steps[0].phases) == ["resolve", "connect", "tls", "processing"]
        strange = TcpProbe("localhost", tls_servers.self_signed, tls=True)
        assert verdict(strange.check(context())) == (Outcome.FAILED, Reason.TLS)

    @pytest.mark.parametrize("bad", [{"port": 0}, {"port": 70000}, {"port": 1, "expect": "("}])
    def test_nonsense_is_refused(self, bad):
        with pytest.raises(ValueError, match=r"port|expression"):
            TcpProbe("h", **bad)


class TestTls:
    @pytest.mark.parametrize(
        ("server", "outcome", "verified"),
        [
            ("good", Outcome.OK, 1),
            ("tls12_only", Outcome.OK, 1),
            ("chain", Outcome.DEGRADED, 1),
            ("expired", Outcome.FAILED, 0),
            ("self_signed", Outcome.FAILED, 0),
            ("wrong_host", Outcome.FAILED, 0),
        ],
    )
    def test_the_verdict_and_the_facts_beside_it(self, server, outcome, verified, tls_servers):
        probe = TlsProbe("localhost", getattr(tls_servers, server), ca_file=tls_servers.ca_file)
        reading = probe.check(context())
        assert reading.outcome is outcome
        values = {gauge.name: gauge for gauge in reading.gauges}
        assert values["sre_probe_tls_verified"].value == verified
        label = "good" if server == "tls12_only" else server
        first = "intermediate" if server == "chain" else label
        expiry = values["sre_probe_tls_earliest_expiry_timestamp_seconds"].value
        assert expiry == pytest.approx(tls_servers.expires[first], abs=1)
        (_, fingerprint), (_, serial) = values["sre_probe_tls_certificate_info"].labels
        assert fingerprint == tls_servers.fingerprints[label]
        assert int(serial, 16) == tls_servers.issued[label].certificate.serial_number
        [(_, version)] = values["sre_probe_tls_version_info"].labels
        assert version == ("TLSv1.2" if server == "tls12_only" else "TLSv1.3")

    def test_an_old_protocol_is_a_failure_with_its_version(self, tls_servers):
        probe = TlsProbe(
            "localhost", tls_servers.tls12_only, ca_file=tls_servers.ca_file, min_version="TLSv1.3"
        )
        reading = probe.check(context())
        assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
        assert (("version", "TLSv1.2"),) in [gauge.labels for gauge in reading.gauges]

    def test_verification_can_be_measured_without_failing(self, tls_servers):
        reading = TlsProbe("localhost", tls_servers.self_signed, verify=False).check(context())
        assert verdict(reading) == (Outcome.OK, Reason.NONE)
        assert [g.value for g in reading.gauges if g.name == "sre_probe_tls_verified"] == [0.0]

    def test_no_tls_at_all(self, hostile: Hostile):
        reading = TlsProbe("127.0.0.1", hostile.port).check(context(1.0))
        assert reading.outcome is Outcome.FAILED
        assert reading.reason in (Reason.TLS, Reason.TIMEOUT)

    @pytest.mark.parametrize(
        ("left", "outcome"),
        [(-1, Outcome.FAILED), (1, Outcome.FAILED), (5, Outcome.DEGRADED), (30, Outcome.OK)],
    )
    def test_days_left(self, left, outcome):
        limits = ExpiresWithin(Duration(14 * DAY), Duration(3 * DAY))
        facts = Seen(earliest_expiry=NOW + left * DAY, version="TLSv1.3")
        assert judge(facts, limits, NOW, verify=True)[0] is outcome

    def test_limits_in_the_wrong_order(self):
        with pytest.raises(ValueError, match="longer"):
            ExpiresWithin(Duration(1.0), Duration(2.0))


class TestHttp:
    @pytest.mark.parametrize(
        ("path", "config", "expected"),
        [
            ("/status/200", {}, (Outcome.OK, "")),
            ("/status/500", {}, (Outcome.FAILED, "status")),
            ("/status/404", {"expect": {"status": 404}}, (Outcome.OK, "")),
            ("/status/429", {}, (Outcome.THROTTLED, "")),
            ("/json", {"expect": {"contains": "no such words"}}, (Outcome.FAILED, "body")),
            ("/delay?first=300", {"below": Duration(0.05)}, (Outcome.FAILED, "slow")),
            ("/big", {"body_limit": 10}, (Outcome.FAILED, "body")),
            ("/status/200", {"expect": {"header": {"X-No": "~."}}}, (Outcome.FAILED, "header")),
        ],
    )
    def test_it_judges_like_a_step(self, path, config, expected, hostile):
        reading = HttpProbe(path, **config).check(context(base_url=hostile.url))
        assert (reading.outcome, reading.reason) == expected, reading.message

    def test_every_redirect_is_a_row_and_marked_as_synthetic(self, hostile):
        probe = HttpProbe("/redirect?to=/status/200")
        reading = probe.check(context(base_url=hostile.url))
        assert [row.hop for row in reading.steps[0].rows] == [0, 1]
        marks = [dict(seen.headers) for seen in hostile.requests]
        assert all("sre/" in str(mark) for mark in marks)

    def test_what_is_wrong_is_said_when_it_is_declared(self):
        with pytest.raises(ValueError, match=r"expect\.statu: unknown key"):
            HttpProbe("/", expect={"statu": 200})


class TestHost:
    def test_limits(self):
        probe = HostProbe(warn=Limits(disk=Share(0.8)), max=Limits(disk=Share(0.95)))
        for used, outcome in ((0.5, "ok"), (0.85, "degraded"), (0.96, "failed")):
            parts = [Found((), {"disk": 0.1}), Found((), {"disk": used})]
            assert judge_host(parts, {}, probe)[0] == outcome

    def test_a_part_that_hangs_is_degraded_and_a_missing_process_failed(self):
        outcome, reason, message = judge_host([], {"disk /mnt": "no answer in 4.0 s"}, HostProbe())
        assert (outcome, reason) == (Outcome.DEGRADED, Reason.TIMEOUT)
        assert "disk /mnt" in message
        gone = Found((), missing=("0 processes named nginx (at least 1)",))
        assert judge_host([gone], {"disk /": "x"}, HostProbe())[0] is Outcome.FAILED

    def test_a_real_machine(self):
        probe = HostProbe(mounts=("/", "/no/such/mount"), processes={"no-such-process": 1})
        reading = probe.check(context())
        assert verdict(reading) == (Outcome.FAILED, Reason.STATUS)
        success = {
            g.labels[0][1]: g.value for g in reading.gauges if g.name.endswith("collector_success")
        }
        assert success["disk /no/such/mount"] == 0
        assert success["disk /"] == success["cpu"] == success["memory"] == 1
        ratios = [gauge.value for gauge in reading.gauges if gauge.name.endswith("_ratio")]
        assert all(0 <= ratio <= 1 for ratio in ratios)
