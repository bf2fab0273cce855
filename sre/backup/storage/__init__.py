"""Which kinds of stores are there?"""

from __future__ import annotations

from sre.backup.objects import Store
from sre.core.kinds import Kinds

__all__ = ["STORES"]

STORES: Kinds[Store] = Kinds(
    "store",
    {
        "local": "sre.backup.storage.local:LocalStore",
        "s3": "sre.backup.storage.s3:S3Store",
    },
    dict.fromkeys(("s3",), "backup"),
)
"""A kind's name in `sre.yaml` -> where its class is."""
