"""What do entries of `nodes:` say of a database server that has a folder of its own?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["DataNode"]

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:]+):([0-9]{1,5})")


@dataclass(frozen=True)
class DataNode:
    """The keys that such servers share; each kind says what its own program is.

    Raises ValueError for a path that is not absolute, and for an address without a port.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}
    data_dir: str
    bin_dir: str = ""
    address: str = ""
    priority: int = 0
    log: str = ""
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("data_dir", "bin_dir", "log"):
            value = getattr(self, name)
            if value and not value.startswith("/"):
                raise ValueError(f"{name} must be an absolute path on the node, not {value!r}")
        if not self.data_dir.strip("/"):
            raise ValueError("data_dir must be the folder of one server, such as /srv/db/a")
        found = _ADDRESS.fullmatch(self.address)
        if self.address and (found is None or not 0 < int(found[2]) < 65536):
            raise ValueError(f"address must be host:port, not {self.address!r}")
