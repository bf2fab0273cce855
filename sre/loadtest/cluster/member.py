"""What does the parent know of one worker on another host?"""

from __future__ import annotations

from sre.loadtest.crew.hearing import Hearing

__all__ = ["RemoteMember"]


class RemoteMember(Hearing):
    """One worker behind the master.

    Attributes:
        host: the name that its host gives itself; empty until it is here.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.host = ""
        self._lost: str | None = None

    @property
    def label(self) -> str:
        """`worker-0`."""
        return f"worker-{self._number}"

    def over(self, why: str) -> None:
        """Nothing more is to be expected from it. What comes nevertheless is still counted, so that
        the numbers are whole; it stays lost."""
        if self._lost is None and not self.collector.done:
            self._lost = why

    @property
    def running(self) -> bool:
        """Whether more may come from it."""
        return self._lost is None and not self.collector.done

    @property
    def lost(self) -> str | None:
        """What became of it if it did not end as it should; None if it did."""
        if self._lost is None and self.collector.done:
            return None
        where = f"{self.label} of {self.host}" if self.host else self.label
        return f"{where} {self._lost or 'did not report its end'}"
