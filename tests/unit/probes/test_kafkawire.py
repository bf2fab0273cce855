"""Is Kafka's protocol spoken as it is documented?

There is no broker here: SCRAM is held against the vectors of its RFC, the rest against a MOCK that
answers single requests as Kafka's protocol guide lays them out.
"""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sre.core.clock import Deadline, SystemClock
from sre.journey.guard import Guard
from sre.journey.result import Reason
from sre.journey.shop import Shop
from sre.probes.dial import Attempt, Trouble
from sre.probes.kafkaparts import Broker
from sre.probes.kafkawire import Login, Scram, named_brokers
from sre.probes.model import ProbeContext

USER = Login("SCRAM-SHA-256", "user", "pencil")
NONCE = "rOprNGfwEbeRWgbNEkqO"
WHOLE = f"{NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = f"r={WHOLE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_rfc_7677() -> None:
    final, signature = Scram(USER, NONCE).answer(FIRST)
    assert final == f"c=biws,r={WHOLE},p={PROOF}"
    assert base64.b64encode(signature).decode() == SIGNATURE


def test_a_conversation_that_ends_well() -> None:
    answers = [FIRST.encode(), f"v={SIGNATURE}".encode()]
    sent: list[bytes] = []

    def send(data: bytes) -> bytes:
        sent.append(data)
        return answers.pop(0)

    Scram(USER, NONCE).run(send)
    assert sent[0] == f"n,,n=user,r={NONCE}".encode()


@pytest.mark.parametrize("last", [b"e=invalid-proof", b"v=AAAA"])
def test_a_refusal_and_a_server_that_only_pretends(last: bytes) -> None:
    answers = [FIRST.encode(), last]
    with pytest.raises(Trouble) as caught:
        Scram(USER, NONCE).run(lambda _: answers.pop(0))
    assert caught.value.reason is Reason.STATUS
    assert "pencil" not in caught.value.message


@pytest.mark.parametrize(
    "told", ["r=other,s=AAAA,i=4096", f"r={WHOLE},s=AAAA,i=999999999", f"r={WHOLE},s=AAAA"]
)
def test_a_server_that_does_not_play_by_the_rules(told: str) -> None:
    with pytest.raises(ValueError, match="SCRAM"):
        Scram(USER, NONCE).answer(told)


def test_names_with_the_two_special_letters_are_escaped() -> None:
    first: list[bytes] = []

    def send(data: bytes) -> bytes:
        first.append(data)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Scram(Login("SCRAM-SHA-512", "a=b,c", "x"), "n").run(send)
    assert first == [b"n,,n=a=3Db=2Cc,r=n"]


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def metadata(version: int) -> bytes:
    one = struct.pack(">i", 1) + text("kafka-1") + struct.pack(">i", 9092) + text("rack")
    two = struct.pack(">i", 2) + text("kafka-2") + struct.pack(">ih", 9093, -1)
    head = struct.pack(">i", 0) if version >= 3 else b""
    return head + struct.pack(">i", 2) + one + two + struct.pack(">i", 1)


def versions(oldest: int, newest: int) -> bytes:
    return struct.pack(">hihhhhhh", 0, 2, 0, 0, 9, 3, oldest, newest)


@contextmanager
def broker_mock(answers: list[tuple[int, bytes]]) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """One connection that expects these requests (by their API key) and answers them."""
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []

    def serve() -> None:
        with theirs:
            for api, answer in answers:
                request = theirs.recv(65536)
                assert struct.unpack(">h", request[4:6])[0] == api
                heard.append(request)
                theirs.sendall(struct.pack(">i", 4 + len(answer)) + request[8:12] + answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield ours, heard
    thread.join(5)


def attempt() -> Attempt:
    shop = Shop("test", "http://127.0.0.1:1")
    guard = Guard((), shop.base_url)
    return Attempt("kafka", ProbeContext(Deadline.after(3), guard, shop, SystemClock()))


NAMED = (Broker("kafka-1", 9092), Broker("kafka-2", 9093))


@pytest.mark.parametrize(("oldest", "newest", "spoken"), [(0, 1, 1), (0, 5, 5), (4, 13, 8)])
def test_the_brokers_are_asked_in_a_version_that_both_know(
    oldest: int, newest: int, spoken: int
) -> None:
    with broker_mock([(18, versions(oldest, newest)), (3, metadata(spoken))]) as (ours, heard):
        assert named_brokers(attempt(), ours, None) == NAMED
    assert struct.unpack(">h", heard[1][6:8])[0] == spoken


def test_a_login_by_plain() -> None:
    login = Login("PLAIN", "sre", "pencil")
    welcome = struct.pack(">hhi", 0, -1, 0)
    answers = [(18, versions(0, 8)), (17, struct.pack(">hi", 0, 0)), (36, welcome)]
    with broker_mock([*answers, (3, metadata(8))]) as (ours, heard):
        assert named_brokers(attempt(), ours, login) == NAMED
    assert heard[2].endswith(b"\0sre\0pencil")


@pytest.mark.parametrize(
    ("handshake", "authenticate", "words"),
    [
        (struct.pack(">hi", 33, 1) + text("GSSAPI"), None, "does not offer PLAIN, but: GSSAPI"),
        (
            struct.pack(">hi", 0, 0),
            struct.pack(">h", 58) + text("pencil?") + b"\0\0\0\0",
            "refused",
        ),
    ],
)
def test_a_login_that_is_refused(handshake: bytes, authenticate: bytes | None, words: str) -> None:
    answers = [(18, versions(0, 8)), (17, handshake)]
    answers += [] if authenticate is None else [(36, authenticate)]
    with broker_mock(answers) as (ours, _), pytest.raises(Trouble, match=words) as caught:
        named_brokers(attempt(), ours, Login("PLAIN", "sre", "pencil"))
    assert caught.value.reason is Reason.STATUS
    assert "pencil" not in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [versions(9, 13), struct.pack(">hi", 0, 10**8), b"", struct.pack(">hi", 0, 0)],
    ids=["too new", "cut short", "empty", "knows nothing"],
)
def test_an_answer_that_makes_no_sense(answer: bytes) -> None:
    with broker_mock([(18, answer)]) as (ours, _), pytest.raises(Trouble) as caught:
        named_brokers(attempt(), ours, None)
    assert caught.value.reason is Reason.PROTOCOL
