"""What does a record come to: how many writes of each outcome, and when were they acknowledged?

Pure: lines in, a book out. One byte for each write and eight for each acknowledgement.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

from sre.sql.ledger.model import Counts, Ending, Outcome
from sre.sql.ledger.record import Line

__all__ = ["LATE", "Book"]

LATE = 0.1
_NONE, _SENT, _ACKNOWLEDGED, _AMBIGUOUS, _FAILED = range(5)
_STATES = {"a": _ACKNOWLEDGED, "m": _AMBIGUOUS, "f": _FAILED}
_MOST_NUMBER = 1 << 31


class Book:
    """Everything that a record says. Filled by `take`, then only read."""

    def __init__(self) -> None:
        self.times = array("q")
        """Of acknowledgements, in microseconds, as they stand in the record."""
        self.last_event = 0
        self.ending: Ending | None = None
        self._states: dict[int, bytearray] = {}
        self._errors: dict[int, Counter[str]] = {}
        self._late, self._latest, self._damaged = 0, 0, 0

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Book:
        """The book of a whole record."""
        book = cls()
        for line in lines:
            book.take(line)
        return book

    def take(self, line: Line) -> None:
        """One line more."""
        if isinstance(line, Ending):
            self.ending = line
        elif line is None or not self._took(*line):
            self._damaged += 1

    def _took(self, letter: str, writer: int, number: int, at: int, word: str) -> bool:
        if writer < 0 or not 0 < number < _MOST_NUMBER:
            return False
        states = self._states.setdefault(writer, bytearray())
        if number > len(states):
            states.extend(bytes(number - len(states)))
        before = states[number - 1]
        self.last_event = max(self.last_event, at)
        if letter == "i":
            return before == _NONE and self._sent(states, number, at, int(word))
        if before not in ((_NONE, _SENT) if letter == "f" else (_SENT,)):
            return False
        states[number - 1] = _STATES[letter]
        if letter == "a":
            self.times.append(at)
        else:
            self._errors.setdefault(writer, Counter())[word] += 1
        return True

    def _sent(self, states: bytearray, number: int, at: int, due: int) -> bool:
        states[number - 1] = _SENT
        late = at - due
        if late > LATE * 1_000_000:
            self._late += 1
        self._latest = max(self._latest, late)
        return True

    def outcome(self, writer: int, number: int) -> Outcome | None:
        """What became of a write; None when it was never attempted."""
        states = self._states.get(writer)
        if states is None or not 0 < number <= len(states):
            return None
        return _OUTCOMES[states[number - 1]]

    def numbers(self) -> dict[int, int]:
        """The last number of each writer."""
        return {writer: len(states) for writer, states in self._states.items()}

    def counts(self) -> Counts:
        """How many of each."""
        seen = [0] * 5
        for states in self._states.values():
            for state in range(5):
                seen[state] += states.count(state)
        total: Counter[str] = sum(self._errors.values(), Counter())
        return Counts(
            acknowledged=seen[_ACKNOWLEDGED],
            ambiguous=seen[_AMBIGUOUS] + seen[_SENT],
            failed=seen[_FAILED],
            late=self._late,
            latest=self._latest / 1_000_000,
            errors=dict(sorted(total.items())),
            by_writer={who: dict(sorted(each.items())) for who, each in self._errors.items()},
            damaged=self._damaged,
        )


_OUTCOMES = {
    _NONE: None,
    _SENT: Outcome.AMBIGUOUS,
    _ACKNOWLEDGED: Outcome.ACKNOWLEDGED,
    _AMBIGUOUS: Outcome.AMBIGUOUS,
    _FAILED: Outcome.FAILED,
}
