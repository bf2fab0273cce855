"""How is a small object of a bucket replaced only if nobody else did, and what time is it there?

The condition is the object's ETag, the time is the answer's Date. Functions on a boto3 client;
its exceptions pass through.
"""

from __future__ import annotations

import base64
import hashlib
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from sre.backup.objects import Cell, Changed
from sre.core.errors import Transient

__all__ = ["enforces", "read", "swap"]

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_NOBODY = '"00000000000000000000000000000000"'


def read(client: Any, at: dict[str, str], key: str) -> Cell:
    """What stands there, with the server's time; nothing there is a cell without data."""
    try:
        answer = client.get_object(**at)
    except ClientError as error:
        if _code(error) not in _ABSENT:
            raise
        return Cell(key, None, "", _date(error.response))
    return Cell(key, answer["Body"].read(), str(answer["ETag"]), _date(answer))


def swap(client: Any, at: dict[str, str], key: str, data: bytes, version: str) -> Cell:
    """Replace that version; after a refusal, ours there means that an answer was lost."""
    condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
    try:
        answer = _put(client, at, data, condition)
    except ClientError as error:
        if _code(error) not in _TAKEN | _ABSENT or _code(error) == "NoSuchBucket":
            raise
        found = read(client, at, key)
        if found.data != data:
            raise Changed(f"{key} was changed by somebody else meanwhile") from None
        return found
    return Cell(key, data, str(answer["ETag"]), _date(answer))


def enforces(client: Any, at: dict[str, str]) -> bool:
    """Whether conditions on an object that exists are kept; asked with its own bytes."""
    data = client.get_object(**at)["Body"].read()
    for condition in ({"IfMatch": _NOBODY}, {"IfNoneMatch": "*"}):
        try:
            _put(client, at, data, condition)
        except ClientError as error:
            if _code(error) not in _TAKEN:
                if _code(error) in {"NotImplemented", "InvalidArgument", "InvalidRequest"}:
                    return False
                raise
        else:
            return False
    return True


def _put(client: Any, at: dict[str, str], data: bytes, condition: dict[str, str]) -> Any:
    check = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return client.put_object(**at, Body=data, ChecksumSHA256=check, **condition)


def _date(answer: dict[str, Any]) -> float:
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        raise Transient(
            "the store's answer has no Date, so nobody can say when a lease ends; look at what "
            "stands between us and the store"
        ) from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
