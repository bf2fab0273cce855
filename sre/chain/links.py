"""Is every link of the declaration there? (pure)"""

from __future__ import annotations

from sre.chain.answered import answered
from sre.chain.kept import kept
from sre.chain.model import Finding, World
from sre.chain.watched import watched

__all__ = ["links"]


def links(world: World) -> tuple[Finding, ...]:
    """Everything that is missing or broken, in the order of the files."""
    return tuple(sorted({*watched(world), *answered(world), *kept(world)}))
