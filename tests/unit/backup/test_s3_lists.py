"""Is a list of S3 whole, or an error, and who is told the time?"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sre.backup.storage.s3_care import server_time
from sre.backup.storage.s3_client import S3Storage
from sre.core.errors import Transient, UsageError
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


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("SignatureDoesNotMatch", "secret_key is not the one of access_key.*clock.*proxy"),
        ("RequestTimeTooSkewed", "clock"),
        ("InvalidAccessKeyId", "does not know access_key"),
        ("AccessDenied", "check access_key's rights"),
        ("403", "check access_key, secret_key and their rights"),
    ],
)
def test_a_refusal_says_what_to_mend(code: str, words: str) -> None:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    with pytest.raises(UsageError, match=words):
        list(storage([ClientError(answer, "ListObjectsV2")]).list("v1/"))


@pytest.mark.parametrize(("code", "told"), [("403", 1763812800.0), ("NoSuchBucket", None)])
def test_the_time_of_a_store_is_in_its_refusal_too(code: str, told: float | None) -> None:
    """Rights to a prefix alone do not open the bucket; the clock is in the answer's head."""
    headers = {"date": "Sat, 22 Nov 2025 12:00:00 GMT"}
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPHeaders": headers}}

    class Refusing(Client):
        def head_bucket(self, **_: Any) -> Any:
            raise ClientError(answer, "HeadBucket")

    made = storage([])
    made.client = Refusing([])
    if told is None:
        with pytest.raises(ClientError):
            server_time(made)
    else:
        assert server_time(made) == told
