"""Through what is a node of a cluster reached?"""

from __future__ import annotations

from sre.core.kinds import Kinds
from sre.failover.nodes import Control

__all__ = ["CONTROLS"]

CONTROLS: Kinds[Control] = Kinds(
    "control",
    {
        "command": "sre.failover.control.command:CommandControl",
        "local": "sre.failover.control.local:LocalControl",
        "ssh": "sre.failover.control.ssh:SshControl",
    },
)
"""A kind's name in `sre.yaml` -> where its class is."""
