"""How are objects written to S3 so that damage, half uploads and lost answers are noticed?

botocore's client alone: it reads errors in the body of a 200. Bodies are bytes of a known length
(no trailers, which several servers refuse), each with its SHA-256 as a header, each put on the
condition that the key is free. After an upload the size is asked back: a 200 is not believed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sre.backup.fence import may_write
from sre.backup.objects import Cell, Hashed, ObjectInfo
from sre.backup.storage import s3_cells
from sre.backup.storage.s3_care import lock_fields, lock_state, must_be_locked, seconds_of
from sre.backup.storage.s3_errors import TAKEN, asking, code_of
from sre.backup.storage.s3_reading import Patience, pieces_of
from sre.backup.storage.s3_sign import sign_with_known_digests
from sre.backup.storage.s3_upkeep import S3Upkeep
from sre.core.errors import Refused, Transient

if TYPE_CHECKING:
    from sre.backup.storage.s3 import S3Store

__all__ = ["S3Storage"]


class S3Storage(S3Upkeep):
    """A `Storage` in a bucket."""

    def __init__(self, store: S3Store) -> None:
        self.bucket, self._part = store.bucket, int(store.part)
        self.prefix = f"{store.prefix.strip('/')}/" if store.prefix.strip("/") else ""
        self._patience = Patience(float(store.timeout), store.attempts)
        self.client: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=store.region,
            aws_access_key_id=store.access_key.reveal(),
            aws_secret_access_key=store.secret_key.reveal(),
            config=Config(
                retries={"mode": "standard", "total_max_attempts": store.attempts},
                connect_timeout=float(store.connect_timeout),
                read_timeout=float(store.timeout),
                tcp_keepalive=True,
                max_pool_connections=16,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": store.addressing},
            ),
        )

        sign_with_known_digests(self.client)
        for call in ("PutObject", "CompleteMultipartUpload", "DeleteObject"):
            self.client.meta.events.register(f"before-send.s3.{call}", _may_leave)

    def put(self, key: str, data: bytes) -> None:
        self._put(key, data)

    @asking
    def _put(self, key: str, data: bytes, check: str = "") -> None:
        check = check or _sha256(data)
        try:
            self.client.put_object(
                **self.at(key),
                Body=data,
                ChecksumSHA256=check,
                IfNoneMatch="*",
                **lock_fields(self.lock),
            )
        except ClientError as error:
            if code_of(error) not in TAKEN:
                raise
            self._must_be_ours(key, len(data), [check], len(data))
        self._must_have(key, len(data))

    def upload(self, key: str, chunks: Iterable[bytes]) -> int:
        parts = _parts(chunks, self._part)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            self._put(key, first, _coded(chunks.digest()) if isinstance(chunks, Hashed) else "")
            return len(first)
        return self._multipart(key, _chain(first, second, parts))

    @asking
    def _multipart(self, key: str, parts: Iterator[bytes]) -> int:
        size, done = 0, list[dict[str, Any]]()
        upload = self.client.create_multipart_upload(
            **self.at(key), ChecksumAlgorithm="SHA256", **lock_fields(self.lock)
        )
        ours = {**self.at(key), "UploadId": upload["UploadId"]}
        try:
            for number, part in enumerate(parts, start=1):
                check = _sha256(part)
                answer = self.client.upload_part(
                    **ours, PartNumber=number, Body=part, ChecksumSHA256=check
                )
                done.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": check})
                size += len(part)
            self._complete(key, ours, done, size)
        except BaseException:
            with contextlib.suppress(ClientError, BotoCoreError):
                self.client.abort_multipart_upload(**ours)
            raise
        self._must_have(key, size)
        return size

    def _complete(
        self, key: str, ours: dict[str, str], parts: list[dict[str, Any]], size: int
    ) -> None:
        try:
            self.client.complete_multipart_upload(
                **ours, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except ClientError as error:
            if code_of(error) not in {*TAKEN, "NoSuchUpload"}:
                raise
            self._must_be_ours(key, size, [each["ChecksumSHA256"] for each in parts], self._part)

    def _must_have(self, key: str, size: int) -> None:
        try:
            found = self._head(key)
        except KeyError:
            found = {}
        if found.get("ContentLength") != size:
            held = f"{found['ContentLength']} bytes" if found else "nothing"
            raise Transient(f"the store took {size} bytes for {key} and holds {held}; run it again")
        must_be_locked(key, self.lock, lock_state(found))

    def _must_be_ours(self, key: str, size: int, checks: list[str], part: int) -> None:
        """Something stands there: ours, when the answer to an earlier try was lost."""
        found = self.head(key)
        if found is not None and found.size == size:
            held = [_sha256(each) for each in _parts(self.stream(key), part)] if size else checks
            if held == checks:
                return
        raise Refused(f"{key} exists already with other content; nothing is overwritten")

    def head(self, key: str) -> ObjectInfo | None:
        try:
            found = self._head(key)
        except KeyError:
            return None
        return ObjectInfo(key, int(found["ContentLength"]), seconds_of(found.get("LastModified")))

    @asking
    def _head(self, key: str) -> dict[str, Any]:
        """Who may write but not read is refused a HEAD; a list tells size and time as well."""
        try:
            found: dict[str, Any] = self.client.head_object(**self.at(key))
        except ClientError as error:
            if code_of(error) != "403":
                raise
            return self._listed(key)
        return found

    def _listed(self, key: str) -> dict[str, Any]:
        page = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + key, MaxKeys=1)
        for each in page.get("Contents", []):
            if each["Key"] == self.prefix + key:
                return {"ContentLength": each["Size"], "LastModified": each["LastModified"]}
        raise KeyError(key)

    @asking
    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        return b"".join(self._pieces(key, start, length))

    def stream(self, key: str) -> Iterator[bytes]:
        pieces = self._pieces(key)
        try:
            while piece := _next(pieces):
                yield piece
        finally:
            pieces.close()

    def _pieces(
        self, key: str, start: int = 0, length: int | None = None
    ) -> Generator[bytes, None, None]:
        last, version = "" if length is None else str(start + length - 1), dict[str, str]()

        def ask(offset: int) -> tuple[Any, int | None]:
            whole = start + offset == 0 and length is None
            part = {} if whole else {"Range": f"bytes={start + offset}-{last}"}
            try:
                found = self.client.get_object(**self.at(key), **part, **version)
            except ClientError as error:
                if version and code_of(error) in TAKEN:
                    raise Transient(
                        f"{key} was replaced while it was read; run it again"
                    ) from error
                raise
            if found.get("ETag"):  # what is asked for again must be of the same object
                version["IfMatch"] = found["ETag"]
            return found["Body"], found.get("ContentLength")

        return pieces_of(ask, self._patience)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        token: dict[str, str] = {}
        before: set[str] = set()
        while True:
            page, seen = self._page(prefix, token), set[str]()
            for each in page.get("Contents", []):
                key, stored = each["Key"][len(self.prefix) :], seconds_of(each.get("LastModified"))
                if key not in before and key not in seen:  # named twice, it counts once
                    yield ObjectInfo(key, int(each["Size"]), stored)
                seen.add(key)
            before = seen or before
            if not page.get("IsTruncated"):
                return
            after = page.get("NextContinuationToken")
            if not after or after == token.get("ContinuationToken"):
                raise Transient(f"the store's list of {prefix!r} breaks off; run it again")
            token = {"ContinuationToken": after}

    @asking
    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self.client.list_objects_v2(
            Bucket=self.bucket, Prefix=self.prefix + prefix, **token
        )
        return page

    @asking
    def cell(self, key: str) -> Cell:
        return s3_cells.read(self.client, self.at(key), key)

    @asking
    def swap(self, key: str, data: bytes, version: str) -> Cell:
        return s3_cells.swap(self.client, self.at(key), key, data, version)

    @asking
    def conditional(self, key: str) -> bool:
        return s3_cells.enforces(self.client, self.at(key))


def _may_leave(**_request: Any) -> None:
    """Before each try of a write: a guard may raise."""
    may_write()


@asking
def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")


def _parts(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) > size:  # more than a part: one that is full may be the last
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _sha256(data: bytes) -> str:
    return _coded(hashlib.sha256(data).digest())


def _coded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
