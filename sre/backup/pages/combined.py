"""What does `backup_manifest` say once the server's lists of changed pages became files again?

The server's manifest of an incremental backup names the lists. Each list is compared with it as it
passed by; then the manifest is written anew, naming the files that the lists became.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from sre.backup.pages.servers import MANIFEST, Sum, Told, parse, summing
from sre.core.errors import IntegrityError

__all__ = ["Seen"]

_PIECE = 2**20
_LABEL = "backup_label"
_INCREMENTAL = b"INCREMENTAL FROM "


class _Sums:
    """One list as it passes by; the manifest, which says how to sum, comes last."""

    def __init__(self) -> None:
        self.size = 0
        self._sums: dict[str, Sum] = {name: summing(name) for name in ("SHA256", "CRC32C")}

    def update(self, data: memoryview) -> None:
        """More of it."""
        self.size += len(data)
        for each in self._sums.values():
            each.update(data)

    def problem(self, told: Told) -> str:
        """How it differs from what the server said; empty when it does not."""
        if self.size != told.size:
            return f"it has {self.size} bytes, the server sent {told.size}"
        if told.algorithm is None:
            return ""
        found = self._sums.get(told.algorithm)
        if found is None:
            return f"the checksum {told.algorithm!r} is not known"
        return "" if found.hexdigest() == told.checksum else "it is not what the server sent"


class Seen:
    """Every list of changed pages that was applied: its name, its sums, its file."""

    def __init__(self) -> None:
        self.lists: dict[str, tuple[str, _Sums]] = {}

    def begin(self, name: str, path: str) -> _Sums:
        """A list begins."""
        sums = _Sums()
        self.lists[name] = (path, sums)
        return sums

    def combine(self, folder: str) -> None:
        """Check the lists and write the folder's manifest anew. Raises IntegrityError."""
        where = os.path.join(folder, MANIFEST)  # noqa: PTH118
        with open(where, "rb") as file:  # noqa: PTH123
            document, told = parse(file.read())
        entries = []
        for path, each in told.items():
            if path == _LABEL:
                _make_plain(folder, each)
                entries.append(_entry(folder, path, each))
                continue
            if path not in self.lists:
                entries.append(dict(each.raw))
                continue
            whole, sums = self.lists[path]
            if problem := sums.problem(each):
                raise IntegrityError(f"{path}: {problem}")
            entries.append(_entry(folder, whole, each))
        document["Files"] = entries
        with open(where, "wb") as file:  # noqa: PTH123
            file.write(_encoded(document))


def _make_plain(folder: str, told: Told) -> None:
    """The server does not start from a label that says that pages are missing."""
    where = os.path.join(folder, _LABEL)  # noqa: PTH118
    with open(where, "rb") as file:  # noqa: PTH123
        label = file.read()
    summed = summing(told.algorithm or "SHA256")
    summed.update(label)
    if len(label) != told.size or (told.algorithm and summed.hexdigest() != told.checksum):
        raise IntegrityError(f"{_LABEL}: it is not what the server sent")
    lines = label.splitlines(keepends=True)
    with open(where, "wb") as file:  # noqa: PTH123
        file.writelines(line for line in lines if not line.startswith(_INCREMENTAL))


def _entry(folder: str, path: str, told: Told) -> dict[str, Any]:
    """What the manifest says of a file as it is now."""
    entry = {key: value for key, value in told.raw.items() if key != "Encoded-Path"} | {
        "Path": path
    }
    size, summed = 0, summing(told.algorithm or "SHA256")
    with open(os.path.join(folder, path), "rb") as file:  # noqa: PTH118, PTH123
        while piece := file.read(_PIECE):
            size += len(piece)
            summed.update(piece)
    if told.algorithm is not None:
        entry["Checksum"] = summed.hexdigest()
    return entry | {"Size": size}


def _encoded(document: dict[str, Any]) -> bytes:
    """As the server writes it: a file a line, its own checksum on the last line."""
    head = {key: value for key, value in document.items() if key not in _WRITTEN}
    files = ",\n".join(json.dumps(each) for each in document["Files"])
    ranges = ",\n".join(json.dumps(each) for each in document["WAL-Ranges"])
    fields = "".join(f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    text = f'{{ {fields}"Files": [\n{files}\n],\n"WAL-Ranges": [\n{ranges}\n],\n'
    summed = hashlib.sha256(text.encode()).hexdigest()
    return f'{text}"Manifest-Checksum": "{summed}"}}\n'.encode()


_WRITTEN = ("Files", "WAL-Ranges", "Manifest-Checksum")
