"""Which prober looks at a target for a module, and where is its code?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sre.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from sre.probes.blackbox.model import Prober

__all__ = ["PROBERS", "prober_for"]

PROBERS = {
    "dns": "sre.probes.blackbox.dns:DnsProber",
    "grpc": "sre.probes.blackbox.grpc:GrpcProber",
    "http": "sre.probes.blackbox.http:HttpProber",
    "icmp": "sre.probes.blackbox.icmp:IcmpProber",
    "tcp": "sre.probes.blackbox.tcp:TcpProber",
}
"""`prober:` of a module -> "module:Class"; loaded when a module of that prober is first used."""


def prober_for(name: str) -> Prober:
    """A new prober.

    Raises:
        UsageError: blackbox_exporter has such a prober, or nobody has; we do not.
        MissingExtra: a package that it imports is not installed.
    """
    if name not in PROBERS:
        raise UsageError(f"prober {name!r} is not supported; there are: {', '.join(PROBERS)}")
    module, _, attribute = PROBERS[name].partition(":")
    try:
        prober: Prober = getattr(import_module(module), attribute)()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "sre":
            raise
        raise MissingExtra(
            f"prober {name!r} needs the package {error.name!r}: pip install 'sre[network]'"
        ) from error
    return prober
