"""Where does the master listen, and may it listen there without a key? (pure)"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sre.core.errors import Refused, UsageError

__all__ = ["Address", "need_key"]


@dataclass(frozen=True)
class Address:
    """`HOST:PORT`; an IPv6 address stands in brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, port_zero: bool = False) -> Address:
        """Read it. Port 0, "any that is free", is allowed where `port_zero` says so.

        Raises UsageError.
        """
        host, colon, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        name = host[1:-1] if bracketed else host
        lowest = 0 if port_zero else 1
        good = colon and name and port.isascii() and port.isdigit()
        if not good or not lowest <= int(port) <= 65535 or (":" in name) != bracketed:
            raise UsageError(
                f"{text!r} is no address; write HOST:PORT such as 127.0.0.1:5557 or [::1]:5557"
            )
        return cls(name, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_wildcard(self) -> bool:
        """Whether it is every address of the machine."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def need_key(address: Address, key: str | None) -> None:
    """Raises Refused when others could reach the address and there is no key."""
    if key is None and not address.is_loopback:
        raise Refused(
            f"{address} is not loopback: whoever reaches it could command load. Give master and "
            "workers one shared key, --key-file FILE or SRE_LOADTEST_KEY (openssl rand -hex 32)"
        )
