"""Is Kafka's protocol spoken as the standards say? (no broker: SCRAM by the vectors of its RFC)"""

from __future__ import annotations

import base64

import pytest

from sre.journey.result import Reason
from sre.probes.dial import Trouble
from sre.probes.kafkawire import Login, Scram

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
