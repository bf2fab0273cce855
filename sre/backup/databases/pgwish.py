"""What is asked of a server that is copied by its replication protocol?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["OLDEST", "Wish"]

OLDEST = 15
"""The first major version that sends everything in one stream."""


@dataclass(frozen=True)
class Wish:
    """What is to be copied.

    Attributes:
        parent: a file with the manifest to build on, or empty.
        encrypted: whether the connection is, as far as the server can tell.
        spaces: whether the server had tablespaces of its own when it was asked.
    """

    label: str
    parent: str = ""
    spaces: bool = False
    encrypted: bool = False

    def encode(self) -> str:
        """One argument."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> Wish:
        """What `encode` made."""
        return Wish(**json.loads(text))

    def command(self) -> str:
        """What the server is told."""
        quoted = self.label.replace("'", "''")
        more = ", INCREMENTAL" if self.parent else ""
        return (
            f"BASE_BACKUP (LABEL '{quoted}', CHECKPOINT 'fast', WAL, WAIT false, TABLESPACE_MAP, "
            f"MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'{more})"
        )
