"""`sre backup …` in a process of its own that may kill itself (kill -9) at a named stage.

    driver.py CONFIG STAGE run orders

Stages: before, mid-volume, before-complete, before-manifest, after; delete-N (instead of the N-th
deletion, from 0); none when empty.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sre.backup.storage import local, s3_client
from sre.cli.main import main as sre_main


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_on_volumes(method: Any) -> Any:
    def armed(self: Any, *arguments: Any) -> None:
        if any("/v0000" in str(each) for each in arguments):
            die()
        method(self, *arguments)

    return armed


def dying_at(number: int, method: Any) -> Any:
    left = iter(range(number))

    def armed(self: Any, key: str) -> None:
        if next(left, None) is None:
            die()
        method(self, key)

    return armed


def arm(stage: str) -> None:
    """Wrap the methods of both storages, so that the process dies where it is told."""
    if stage.startswith("delete-"):
        for owner in (local.LocalStorage, s3_client.S3Storage):
            armed = dying_at(int(stage.removeprefix("delete-")), owner.delete)
            setattr(owner, "delete", armed)  # noqa: B010
    for cls in (local.LocalStorage, s3_client.S3Storage):
        put, upload = cls.put, cls.upload

        def armed_put(self: Any, key: str, data: bytes, _put: Any = put) -> None:
            if stage == "before-manifest" and key.endswith("manifest.json"):
                die()
            _put(self, key, data)
            if stage == "after" and key.endswith("manifest.json"):
                die()

        def armed_upload(self: Any, key: str, chunks: Any, _upload: Any = upload) -> int:
            if stage == "before":
                die()

            def dying() -> Any:
                for number, chunk in enumerate(chunks):
                    if stage == "mid-volume" and "v000002" in key and number == 0:
                        die()
                    yield chunk

            size: int = _upload(self, key, dying())
            return size

        cls.put, cls.upload = armed_put, armed_upload  # type: ignore[method-assign]
    if stage == "before-complete":
        for owner, name in ((s3_client.S3Storage, "_complete"), (local.LocalStorage, "_publish")):
            setattr(owner, name, dying_on_volumes(getattr(owner, name)))


def main(config: str, stage: str, *arguments: str) -> None:
    if stage:
        arm(stage)
    sre_main(["backup", *arguments, "--config", config])


if __name__ == "__main__":
    main(*sys.argv[1:])
