"""What do the errors of an S3 client mean: try again, never again, or not there?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from sre.core.errors import SreError, Transient, UsageError

__all__ = ["ABSENT", "TAKEN", "asking", "code_of", "remedy_of"]

ABSENT = {"404", "NoSuchKey", "NotFound"}
TAKEN = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_DENIED = {
    "401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized",
    "AuthorizationHeaderMalformed",
}  # fmt: skip
_REMEDIES = {
    "SignatureDoesNotMatch": "secret_key is not the one of access_key, this machine's clock is "
    "wrong, or a proxy in between rewrites requests",
    "RequestTimeTooSkewed": "this machine's clock and the store's differ too much: set it right",
    "InvalidAccessKeyId": "the store does not know access_key: is it the one of this store?",
    "AuthorizationHeaderMalformed": "region in sre.yaml is not the bucket's, or access_key is cut",
    "AccessDenied": "check access_key's rights",
}
_REMEDY = "check access_key, secret_key and their rights"

P = ParamSpec("P")
R = TypeVar("R")


def asking(method: Callable[P, R]) -> Callable[P, R]:
    """The client's exceptions as ours: try again, never again, or not there (KeyError)."""

    @functools.wraps(method)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except ClientError as error:
            raise _meaning(error) from error
        except BotoCoreError as error:
            raise Transient(f"the store cannot be reached: {error}") from error

    return ask


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def remedy_of(code: str) -> str:
    """What to do where the store refused us with that code. (pure)"""
    return _REMEDIES.get(code, _REMEDY)


def _meaning(error: ClientError) -> SreError | KeyError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return UsageError("the store has no such bucket; make it, or mend stores: in sre.yaml")
    if code in ABSENT:
        return KeyError(code)
    if code in _DENIED or status in {401, 403}:
        return UsageError(f"the store refuses our credentials ({code}): {remedy_of(code)}")
    if status == 0 or status >= 500 or code in {"SlowDown", "RequestTimeout", "BadDigest", "429"}:
        return Transient(f"the store answers {code} ({status}), retries are spent")
    return UsageError(f"the store refuses the request: {code} ({status})")
