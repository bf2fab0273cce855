"""Is a list of S3 whole, or an error?"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sre.backup.storage.s3_client import S3Storage
from sre.core.errors import Transient
from tests.servers.s3 import S3Server

OBJECT = {"Key": "p/v1/a", "Size": 1}


class Client:
    """Answers with these pages, one after the other."""

    def __init__(self, pages: list[Any]) -> None:
        self.pages = iter(pages)

    def list_objects_v2(self, **_: Any) -> Any:
        page = next(self.pages)
        if isinstance(page, Exception):
            raise page
        return page


def storage(pages: list[Any]) -> S3Storage:
    made = S3Server(1, "ak", "sk").store(prefix="p").open()
    assert isinstance(made, S3Storage)
    made.client = Client(pages)
    return made


def test_an_empty_page_is_not_the_end() -> None:
    empty = {"IsTruncated": True, "NextContinuationToken": "t"}
    found = storage([empty, {"Contents": [OBJECT], "IsTruncated": False}])
    assert [each.key for each in found.list("v1/")] == ["v1/a"]


def test_what_is_named_twice_counts_once() -> None:
    """In one page, or at the end of one and the beginning of the next."""
    first = {"Contents": [OBJECT, OBJECT], "IsTruncated": True, "NextContinuationToken": "t"}
    empty = {"IsTruncated": True, "NextContinuationToken": "u"}
    found = storage([first, empty, {"Contents": [OBJECT], "IsTruncated": False}]).list("v1/")
    assert [each.key for each in found] == ["v1/a"]


@pytest.mark.parametrize(
    "second",
    [
        {"IsTruncated": True},
        {"IsTruncated": True, "NextContinuationToken": "t"},
        ClientError({"Error": {"Code": "InternalError"}}, "ListObjectsV2"),
    ],
)
def test_a_list_that_breaks_off_is_an_error(second: Any) -> None:
    first = {"Contents": [OBJECT], "IsTruncated": True, "NextContinuationToken": "t"}
    with pytest.raises(Transient):
        list(storage([first, second]).list("v1/"))
