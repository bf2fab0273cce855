"""Does an invariant say anything, and which part of a backup does a sample read? (pure)"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from sre.backup.manifest import Manifest
from sre.core.errors import UsageError
from sre.sql.invariants import judge
from sre.sql.model import Invariant

__all__ = ["Sample", "parse_sample", "weakness"]

_SAMPLE = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Every `of`-th volume, beginning with the one numbered `part` (from 1)."""

    part: int
    of: int

    def of_manifest(self, manifest: Manifest) -> Manifest:
        """With the sampled volumes alone."""
        volumes = manifest.volumes[self.part - 1 :: self.of]
        return dataclasses.replace(manifest, volumes=volumes)

    def __str__(self) -> str:
        return f"{self.part}/{self.of}"


def parse_sample(text: str) -> Sample:
    """`N/M`, such as `3/7`. Raises UsageError."""
    match = _SAMPLE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise UsageError(f"--sample {text!r}: write N/M, such as 3/7: the third of seven parts")
    return Sample(int(match[1]), int(match[2]))


def weakness(invariants: Sequence[Invariant]) -> str:
    """Why these would not notice the loss of everything; empty when they would."""
    if not invariants:
        return "no invariants are declared: that the server starts says little"
    if all(judge(each, 0).passed for each in invariants):
        return (
            "every invariant would hold in an empty database as well: add one that must find "
            "something, such as {min: 1}"
        )
    return ""
