"""How does a test get several hosts with a wire between them that can be cut, one way or both?

Each host is a network namespace with an address of its own; the test itself moves to a further
one, where nothing of this machine is reached: what it starts from then on lives there too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sre.core import spawn
from tests.servers.child import child, program
from tests.servers.net import missing, wait_until

__all__ = ["Host", "inside", "running_hosts"]

SITE = "10.77.0.1"
_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Host:
    """One host; `pid` is a process that lives in its network."""

    name: str
    address: str
    pid: int

    def cut(self, *addresses: str, ways: Sequence[str] = ("in", "out"), percent: int = 100) -> None:
        """Packets from (in) and to (out) these addresses vanish: all, or so many by chance."""
        chance = "" if percent == 100 else f"numgen random mod 100 < {percent} "
        rules = ["table ip cut {"]
        for way, hook, side in (("in", "input", "saddr"), ("out", "output", "daddr")):
            if way in ways:
                lines = " ".join(f"ip {side} {each} {chance}drop;" for each in addresses)
                rules.append(f"chain {way} {{ type filter hook {hook} priority 0; {lines} }}")
        self._nft("\n".join([*rules, "}"]))

    def heal(self) -> None:
        """Everything passes again."""
        self._nft("table ip cut {}\ndelete table ip cut")

    def _nft(self, rules: str) -> None:
        argv = ["nsenter", "-t", str(self.pid), "-n", program("nft"), "-f", "-"]
        subprocess.run(argv, input=rules, text=True, check=True)


def _enter(descriptor: int, forker: spawn._Forker | None = None) -> None:
    """This thread; and the one that starts our children, which stays where it was made."""
    if _libc.setns(descriptor, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    spawn._forker = forker or spawn._Forker()


@contextlib.contextmanager
def _here() -> Iterator[int]:
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def inside(host: Host) -> Iterator[None]:
    """This thread, and what it starts, is on the host."""
    forker = spawn._forker
    with _here() as back, Path(f"/proc/{host.pid}/ns/net").open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(back, forker)


def _ip(*words: str) -> None:
    subprocess.run([program("ip"), *words], check=True)


@contextlib.contextmanager
def running_hosts(names: Sequence[str], home: Path) -> Iterator[dict[str, Host]]:
    """Hosts on one wire, with this thread on a host of its own beside them (`SITE`)."""
    if os.geteuid() != 0:
        missing("root, for network namespaces,")
    with _here() as back, contextlib.ExitStack() as stack:
        if _libc.unshare(_NEWNET):
            missing("the right to make network namespaces")
        stack.callback(_enter, back, spawn._forker)
        spawn._forker = spawn._Forker()
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "wire", "type", "bridge")
        _ip("addr", "add", f"{SITE}/24", "dev", "wire")
        _ip("link", "set", "wire", "up")
        yield {
            name: _host(name, f"10.77.0.{number}", home, stack)
            for number, name in enumerate(names, start=2)
        }


def _host(name: str, address: str, home: Path, stack: contextlib.ExitStack) -> Host:
    argv = [program("unshare"), "-n", program("sleep"), "600"]
    pid = stack.enter_context(child(argv, home=home / f"host-{name}")).pid
    own = Path("/proc/thread-self/ns/net").readlink()
    wait_until(lambda: Path(f"/proc/{pid}/ns/net").readlink() != own, 10, "a namespace")
    host = Host(name, address, pid)
    _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth", "netns", str(pid))
    _ip("link", "set", f"to-{name}", "master", "wire", "up")
    with inside(host):
        _ip("link", "set", "lo", "up")
        _ip("addr", "add", f"{address}/24", "dev", "eth")
        _ip("link", "set", "eth", "up")
    return host
