"""Whose word does a commit wait for, and may an acknowledged one be missing where we look? (pure)

The grammar is that of `synchronous_standby_names`. Of N members of which any k acknowledge, every
acknowledged commit stands on k; whoever sees N-k+1 of them sees at least one that has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Names", "needed", "parse_names", "waits"]

_TOKEN = re.compile(r'\s*("(?:[^"]|"")*"|[^\s",()]+|[,()])')
_PLAIN = re.compile(r"[A-Za-z_\x80-\uffff][A-Za-z0-9_$\x80-\uffff]*")


@dataclass(frozen=True)
class Names:
    """A parsed `synchronous_standby_names`.

    Attributes:
        way: `ANY` of the members, or the `FIRST` ones that are there.
        count: how many a commit waits for; 0: for nobody.
        members: names as written, without quotes; `*` is everybody.
    """

    way: Literal["ANY", "FIRST"] = "FIRST"
    count: int = 0
    members: tuple[str, ...] = ()

    @property
    def everybody(self) -> bool:
        """Whether any standby at all counts."""
        return "*" in self.members

    def has(self, name: str) -> bool:
        """Whether `name` stands in it; upper and lower case are the same, as for PostgreSQL."""
        return name.lower() in {each.lower() for each in self.members}

    def exchanged(self, old: str, new: str) -> Names:
        """The same with the place of `old` taken by `new`; as it is where both stand in it."""
        if not self.has(old) or self.has(new):
            return self
        changed = (new if each.lower() == old.lower() else each for each in self.members)
        return replace(self, members=_unique(changed))

    def over(self, names: Iterable[str]) -> Names:
        """The same rule over other members."""
        return replace(self, members=_unique(names))

    def text(self) -> str:
        """As it stands in postgresql.conf."""
        if not self.count:
            return ""
        listed = ", ".join(map(_quoted, self.members))
        return f"{self.way} {self.count} ({listed})"


def parse_names(text: str) -> Names:
    """The setting's value. Raises ValueError when PostgreSQL would not take it either."""
    tokens = [match[1] for match in _TOKEN.finditer(text)]
    if "".join(tokens) != re.sub(r'("(?:[^"]|"")*")|\s+', lambda m: m[1] or "", text):
        raise ValueError(f"cannot read synchronous_standby_names {text!r}")
    if not tokens:
        return Names()
    way: Literal["ANY", "FIRST"] = "FIRST"
    if tokens[0].upper() in ("ANY", "FIRST") and len(tokens) > 1 and tokens[1].isdigit():
        way, tokens = ("ANY" if tokens[0].upper() == "ANY" else "FIRST"), tokens[1:]
    count = 1
    if tokens[0].isdigit() and tokens[1:2] == ["("]:
        if tokens[-1] != ")":
            raise ValueError(f"cannot read synchronous_standby_names {text!r}")
        count, tokens = int(tokens[0]), tokens[2:-1]
    members, commas = tokens[::2], tokens[1::2]
    if not count or set(commas) - {","} or not members or {",", "(", ")"} & set(members):
        raise ValueError(f"cannot read synchronous_standby_names {text!r}")
    if len(members) == len(commas):
        raise ValueError(f"cannot read synchronous_standby_names {text!r}")
    return Names(way, count, tuple(map(_plain, members)))


def waits(commit: str) -> bool:
    """Whether a commit with this `synchronous_commit` waits for standbys."""
    return commit not in ("off", "local", "")


def needed(
    names: Names, old: str, others: Iterable[str], extra: Iterable[str] = ()
) -> tuple[int, frozenset[str]]:
    """How many of which members must be seen, so that no acknowledged commit can be missed.

    Args:
        old: the primary that was; where it stands in its own list it acknowledged nothing.
        others: the nodes beside the primary that was; `*` stands for them.
        extra: further standbys that were seen to count, of nodes that are not declared.

    Returns:
        The number, 0 when commits wait for nobody, and the members in lower case. A number above
        that of the members cannot be reached. FIRST counts as ANY: which members were there when
        the last commits were acknowledged cannot be known afterwards.
    """
    if not names.count:
        return 0, frozenset()
    members = frozenset(each.lower() for each in names.members if each != "*")
    if names.everybody:
        members |= {each.lower() for each in (*others, *extra)}
    members -= {old.lower()}
    return max(1, len(members) - names.count + 1), members


def missing_words(needs: int, members: Iterable[str], seen: Mapping[str, object]) -> str:
    """Who would have to be there, for people."""
    absent = sorted(set(members) - set(seen))
    return f"{needs} of {', '.join(sorted(members))} must be seen; not there: {', '.join(absent)}"


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple({each.lower(): each for each in names}.values())


def _plain(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def _quoted(name: str) -> str:
    if name == "*" or (_PLAIN.fullmatch(name) and name.upper() not in ("ANY", "FIRST")):
        return name
    return '"' + name.replace('"', '""') + '"'
