"""How is a node controlled that is this machine?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from sre.core.clock import Deadline
from sre.core.config import STRICT
from sre.core.errors import Transient
from sre.core.process import Done, run
from sre.failover.control.scripted import Scripted
from sre.failover.control.words import check_unit, check_user

__all__ = ["LocalControl"]

_CLEAN = (
    'exec env -i PATH="$PATH" ${HOME+"HOME=$HOME"} ${LANG+"LANG=$LANG"} ${LC_ALL+"LC_ALL=$LC_ALL"}'
    ' ${TZ+"TZ=$TZ"} ${LD_LIBRARY_PATH+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} /bin/sh -c "$@"'
)
"""Our environment has secrets: neither a server nor a program of its user inherits them."""


@dataclass(frozen=True)
class LocalControl(Scripted):
    """`kind: local`: this machine.

    Attributes:
        service: a systemd unit; without, programs are started and stopped directly.
        user: who runs the service and its programs, when we are root; the data's owner without.
    """

    __pydantic_config__: ClassVar = STRICT
    service: str = ""
    user: str = ""

    def __post_init__(self) -> None:
        check_unit(self.service)
        check_user(self.user)

    @property
    def place(self) -> str:
        """The node in messages."""
        return "this machine"

    @property
    def unit(self) -> str:
        """The systemd unit of the service."""
        return self.service

    @property
    def owner(self) -> str:
        """The user of the service."""
        return self.user

    def shell(self, script: str, args: Sequence[str], data: bytes, deadline: Deadline) -> Done:
        """`sh -c script sre args…` here, in a clean environment."""
        begins_programs = args[0] in ("run", "start")
        text = (_CLEAN, "sre", script) if begins_programs else (script,)
        return run(["/bin/sh", "-c", *text, "sre", *args], deadline, input=data)

    def broken(self, done: Done) -> NoReturn:
        """Raise what it means that the script did not end by itself."""
        words = " ".join(done.stderr.split())[-300:]
        raise Transient(f"{self.place}: the shell ended with {done.returncode}: {words}")
