"""Which bucket, where, and with whose credentials?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sre.backup.objects import Storage
from sre.core.errors import MissingExtra
from sre.core.secrets import Secret
from sre.core.units import Duration, Size

__all__ = ["S3Store"]

_MIB = 2**20


@dataclass(frozen=True)
class S3Store:
    """`kind: s3`: a bucket of AWS or of anything that speaks its protocol.

    Attributes:
        endpoint: the server's address; AWS's own for the region when left out.
        addressing: `path` (most servers) or `virtual` (some clouds); `auto` lets the client choose.
        attempts: how often a request is sent before the store counts as not reachable.
        connect_timeout, timeout: seconds for a connection, and for silence on one.
        part: size of the parts of a large object, at least 5MiB.
        single_writer: one machine alone writes here; needed where the store ignores conditions.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    bucket: str
    access_key: Secret
    secret_key: Secret
    endpoint: str | None = None
    prefix: str = ""
    region: str = "us-east-1"
    addressing: Literal["path", "virtual", "auto"] = "path"
    attempts: int = 5
    connect_timeout: Duration = Duration(5.0)
    timeout: Duration = Duration(30.0)
    part: Size = Size(16 * _MIB)
    single_writer: bool = False

    def __post_init__(self) -> None:
        if len(self.bucket) < 3:
            raise ValueError(f"bucket {self.bucket!r}: S3 wants at least 3 characters")
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint must begin with http:// or https://")
        if self.part < 5 * _MIB:
            raise ValueError("part must be at least 5MiB, S3's own limit")
        if self.attempts < 1:
            raise ValueError("attempts must be at least 1")

    def open(self) -> Storage:
        try:
            from sre.backup.storage.s3_client import S3Storage  # noqa: PLC0415  boto3 is heavy
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"a store of kind 's3' needs the package {error.name!r}: pip install 'sre[backup]'"
            ) from error
        return S3Storage(self)
