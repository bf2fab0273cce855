"""Does the `tcp` kind hold a conversation with real servers, and end one with broken ones?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.core.config import Problems, read_tree
from sre.core.errors import UsageError
from sre.core.secrets import Secret
from sre.journey.guard import Guard
from sre.journey.result import Outcome, Reason
from sre.journey.shop import Shop
from sre.probes.declare import declare
from sre.probes.kinds.tcp import Label, TcpProbe, Turn
from sre.probes.model import ProbeContext, Reading
from tests.servers.net import wait_until
from tests.servers.redis import PASSWORD, Redis, running_redis
from tests.servers.talks import STARTTLS, Step, server_context, talking
from tests.servers.tls import TlsServers

SMTP = (
    Turn(expect=r"^220 (?P<greeting>.*)$", refuse=r"^[45]"),
    Turn(send="EHLO probe.invalid\r"),
    Turn(expect=r"^250[- ]STARTTLS", refuse=r"^250 |^[45]", send="STARTTLS\r"),
    Turn(expect="^220 ", starttls=True),
)


def look(port: int, seconds: float = 3.0, **keys: Any) -> Reading:
    guard, shop = Guard(("127.0.0.1:*", "localhost:*")), Shop("t", "http://127.0.0.1:1")
    context = ProbeContext(Deadline.after(seconds), guard, shop, SystemClock())
    return TcpProbe("localhost", port, **keys).check(context)


def verdict(reading: Reading) -> tuple[Outcome, Reason]:
    return reading.outcome, reading.reason


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("tcp-redis")) as server:
        yield server


def test_a_conversation_with_redis(redis: Redis) -> None:
    talk = (
        Turn(send="AUTH ${secret}\r", secret=Secret.literal(PASSWORD)),
        Turn(expect=r"^\+OK$", refuse="^-", send="PING\r"),
        Turn(expect=r"^\+(PONG)$", labels=(Label("answer", "$1"),)),
    )
    reading = look(redis.port, conversation=talk)
    assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
    [info] = reading.gauges
    assert info.labels == (("name", "answer"), ("value", "PONG"))


def test_a_wrong_password_ends_it_at_once_and_is_not_told(redis: Redis) -> None:
    talk = (
        Turn(send="AUTH ${secret}\r", secret=Secret.literal("wrong-word")),
        Turn(expect=r"^\+OK$", refuse="^-"),
    )
    began = time.monotonic()
    reading = look(redis.port, conversation=talk)
    assert time.monotonic() - began < 3
    assert verdict(reading) == (Outcome.FAILED, Reason.BODY)
    assert reading.message == "the server refused"


def test_a_stopped_server_ends_at_the_deadline(redis: Redis) -> None:
    began = time.monotonic()
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        reading = look(redis.port, 0.4, query_response=(Turn(send="PING\r"), Turn(expect="PONG")))
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
    assert time.monotonic() - began < 3
    assert verdict(reading) == (Outcome.FAILED, Reason.TIMEOUT)


def test_starttls_with_parts_of_the_answer(tls_servers: TlsServers) -> None:
    with talking(STARTTLS["smtp"], server_context(tls_servers)) as server:
        reading = look(server.port, conversation=SMTP, ca_file=tls_servers.ca_file)
        assert verdict(reading) == (Outcome.OK, Reason.NONE), reading.message
        assert server.wrong == []
    assert list(reading.steps[0].phases) == ["resolve", "connect", "tls", "processing"]
    values = {gauge.name: gauge for gauge in reading.gauges}
    expiry = values["sre_probe_tcp_earliest_expiry_timestamp_seconds"].value
    assert expiry == pytest.approx(tls_servers.expires["good"], abs=1)
    assert values["sre_probe_tcp_version_info"].labels == (("version", "TLSv1.3"),)


def test_the_dialogue_goes_on_inside_tls(tls_servers: TlsServers) -> None:
    script = [*STARTTLS["pop3"], ("hear", "^QUIT$"), ("say", "+OK bye\r\n")]
    talk = (
        Turn(expect=r"^\+OK", send="STLS\r"),
        Turn(expect=r"^\+OK", starttls=True),
        Turn(send="QUIT\r"),
        Turn(expect="bye"),
    )
    with talking(script, server_context(tls_servers)) as server:
        reading = look(server.port, conversation=talk, ca_file=tls_servers.ca_file)
        assert (verdict(reading), server.wrong) == ((Outcome.OK, Reason.NONE), [])


def test_a_certificate_after_starttls_is_verified(tls_servers: TlsServers) -> None:
    for label, words in (("self_signed", "self-signed"), ("wrong_host", "not valid for")):
        with talking(STARTTLS["smtp"], server_context(tls_servers, label)) as server:
            reading = look(server.port, conversation=SMTP, ca_file=tls_servers.ca_file)
        assert verdict(reading) == (Outcome.FAILED, Reason.TLS)
        assert words in reading.message


def test_a_banner_is_exported_short_and_clean() -> None:
    talk = (
        Turn(
            expect=r"^SSH-(?P<version>[0-9.]+)-([^ ]+)(.*)$",
            labels=(Label("protocol", "${version}"), Label("software", "$2"), Label("rest", "$3")),
        ),
    )
    banner = 'SSH-2.0-OpenSSH_9.2 \x1b[31m\xe9"\\' + "x" * 300 + "\r\n"
    with talking([("say", banner)]) as server:
        reading = look(server.port, conversation=talk)
    assert verdict(reading) == (Outcome.OK, Reason.NONE)
    found = {gauge.labels[0][1]: gauge.labels[1][1] for gauge in reading.gauges}
    assert (found["protocol"], found["software"]) == ("2.0", "OpenSSH_9.2")
    assert len(found["rest"]) == 64
    assert found["rest"].isascii()
    assert found["rest"].isprintable()


def test_what_was_captured_is_sent_back() -> None:
    script: list[Step] = [("say", "NOTICE x\nPING :42 z\n"), ("hear", "^PONG 42 42 \\$$")]
    talk = (Turn(expect=r"^PING :(\d+)", send="PONG $1 ${1} $$"), Turn(expect="^done"))
    with talking([*script, ("say", "done\n")]) as server:
        reading = look(server.port, conversation=talk)
        assert verdict(reading) == (Outcome.OK, Reason.NONE)
        assert (server.heard, server.wrong) == (["PONG 42 42 $"], [])


def test_a_prompt_without_a_line_end() -> None:
    with talking([("say", "hello\r\nlogin: "), ("hear", "^root$"), ("say", "no\n")]) as server:
        talk = (Turn(expect_bytes="login: ", send="root"), Turn(expect="^no$"))
        assert verdict(look(server.port, conversation=talk)) == (Outcome.OK, Reason.NONE)


WAIT = (Turn(expect="^220 ", refuse="^[45]"),)


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        ([("hang", "")], Reason.TIMEOUT, "no answer came in time"),
        ([("drip", "")], Reason.BODY, "before the time was up"),
        ([("flood", "")], Reason.BODY, "a line of more than 65536 bytes"),
        ([("flood", "x" * 63 + "\n")], Reason.BODY, "no match in the first 262144 bytes"),
        ([("say", "554 go away\r\n")], Reason.BODY, "the server refused"),
        ([("say", "22"), ("close", "")], Reason.BODY, "closed after 2 bytes"),
        ([("close", "")], Reason.BODY, "closed after 0 bytes"),
        ([("say", "2"), ("reset", "")], Reason.PROTOCOL, "reset"),
        ([("say", "221\r\n"), ("hang", "")], Reason.BODY, "no match in 5 bytes"),
    ],
)
def test_faults(script: list[Step], reason: Reason, words: str) -> None:
    began = time.monotonic()
    with talking(script) as server:
        reading = look(server.port, 0.5, conversation=WAIT)
    assert time.monotonic() - began < 3
    assert verdict(reading) == (Outcome.FAILED, reason), reading.message
    assert words in reading.message


def test_what_was_slipped_in_before_tls_is_noticed(tls_servers: TlsServers) -> None:
    script = [*STARTTLS["smtp"][:-2], ("say", "220 ready\r\n250 injected\r\n"), ("tls", "")]
    with talking(script, server_context(tls_servers)) as server:
        reading = look(server.port, conversation=SMTP, ca_file=tls_servers.ca_file)
    assert verdict(reading) == (Outcome.FAILED, Reason.BODY)
    assert "plain text behind its answer" in reading.message


def test_a_handshake_that_never_comes(tls_servers: TlsServers) -> None:
    with talking([*STARTTLS["smtp"][:-1], ("hang", "")]) as server:
        reading = look(server.port, 0.5, conversation=SMTP, ca_file=tls_servers.ca_file)
    assert verdict(reading) == (Outcome.FAILED, Reason.TIMEOUT)


def test_a_file_that_is_missing_is_our_fault(tls_servers: TlsServers) -> None:
    with pytest.raises(UsageError, match="ca_file /none cannot be used: No such file"):
        look(tls_servers.good, tls=True, ca_file="/none")


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ({"expect": "("}, "expect is not a regular expression"),
        ({"refuse": "x"}, "refuse needs an expect"),
        ({"send": "AUTH ${env:WORD}"}, "put the reference into secret"),
        ({"secret": Secret.literal("x"), "send": "AUTH"}, "used nowhere"),
        ({"labels": (Label("a", "b"),)}, "labels need an expect"),
    ],
)
def test_a_turn_that_makes_no_sense(turn: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("$", r"\$")):
        Turn(**turn)


def test_one_way_to_talk() -> None:
    with pytest.raises(ValueError, match="one of them"):
        TcpProbe("h", 1, send="x", conversation=(Turn(expect="x"),))
    with pytest.raises(ValueError, match="TLS can begin once"):
        TcpProbe("h", 1, tls=True, conversation=(Turn(starttls=True),))
    with pytest.raises(ValueError, match="need tls: true or starttls"):
        TcpProbe("h", 443, ca_file="/etc/ca.pem")
    with pytest.raises(ValueError, match="small letters"):
        Label("Bad Name", "x")


def test_what_a_declaration_says_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sre.yaml"
    file.write_text(
        """
probes:
  - name: irc
    kind: tcp
    host: localhost
    port: 1
    conversation:
      - {expect: 'PING :(\\w+)', send: 'PONG ${1}', labels: [{name: said, value: '${1}'}]}
      - {send: 'PASS ${secret}', secret: '${env:IRC_WORD}'}
""",
        encoding="utf-8",
    )
    monkeypatch.setenv("IRC_WORD", "gehe1m-wort")
    problems = Problems()
    found = declare(read_tree(file), {}, (), problems)
    problems.raise_if_any()
    [check] = found.probes
    script: list[Step] = [
        ("say", "PING :42\n"), ("hear", "^PONG 42$"), ("hear", "^PASS gehe1m-wort$"),
    ]  # fmt: skip
    with talking(script) as server:
        assert isinstance(check.probe, TcpProbe)
        reading = look(server.port, conversation=check.probe.conversation)
        wait_until(lambda: len(server.heard) == 2, 5, "both lines")
        assert (verdict(reading), server.wrong) == ((Outcome.OK, Reason.NONE), [])
    assert reading.gauges[0].labels == (("name", "said"), ("value", "42"))
