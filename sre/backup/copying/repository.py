"""Is a second store one of ours, before anything is copied to it?"""

from __future__ import annotations

import json

from sre.backup.copying.transfer import Side, transfer_small
from sre.backup.layout import REPO
from sre.core.errors import UsageError

__all__ = ["ensure_repository"]


def ensure_repository(source: Side, target: Side) -> None:
    """The mark of a repository, as the source has it, unless the target is one already.

    Raises UsageError when the target has a format that this version does not write.
    """
    with target.named():
        found = target.storage.head(REPO)
    if found is None:
        try:
            transfer_small(target, REPO, source.get(REPO))
        except KeyError:
            return
    try:
        schema = json.loads(target.get(REPO)).get("schema")
    except (ValueError, AttributeError):
        schema = None
    if schema != "sre.repo/1":
        raise UsageError(
            f"{target.name}: {REPO} says {schema!r}; this version writes sre.repo/1 alone"
        )
