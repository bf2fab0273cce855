"""Where may a check write in a bucket, how does it ask, and how is all of it removed again?"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore import handlers
from botocore.exceptions import BotoCoreError, ClientError

from sre.backup.doctor.scene_names import SCRATCH, scratch_name
from sre.backup.storage.s3_client import S3Storage
from sre.core.clock import Clock, Deadline
from sre.core.errors import Transient
from sre.core.units import Duration

if TYPE_CHECKING:
    from sre.backup.storage.s3 import S3Store

__all__ = ["OutOfTime", "Scene", "code_of", "quiet", "refusal", "status_of"]

_CONNECT, _SILENCE = 3.0, 6.0
_SLOW_DOWN = {"SlowDown", "RequestTimeout", "Throttling", "TooManyRequests", "429", "503"}


class OutOfTime(Transient):
    """The examination's time is over."""


class Scene:
    """A scratch prefix of one bucket. Safe to use from several threads.

    Attributes:
        rate: bytes per second of an upload, once measured.
        skew: the server's clock minus ours, in seconds, once heard.
        silence: seconds after which an answer does not come any more.
        quick: the store with timeouts that fit an examination.
        lying: operations that were answered 200 with an error in the body.
        lock_default: whether the bucket locks whatever is put into it.
    """

    def __init__(self, store: S3Store, clock: Clock, deadline: Deadline) -> None:
        self.store, self.clock, self.deadline = store, clock, deadline
        self.silence = silence = max(1.0, min(float(store.timeout), _SILENCE, deadline.left() / 5))
        connect = Duration(min(float(store.connect_timeout), _CONNECT))
        self.quick = replace(store, attempts=2, connect_timeout=connect, timeout=Duration(silence))
        self.client, self.bucket = S3Storage(self.quick).client, store.bucket
        self.root = f"{store.prefix.strip('/')}/" if store.prefix.strip("/") else ""
        self.prefix = f"{self.root}{SCRATCH}{scratch_name(clock)}/"
        self.rate: float | None = None
        self.skew: float | None = None
        self.lock_default = False
        self.lying: list[str] = []
        self.memo: dict[str, Any] = {}
        self.touched: set[str] = set()
        self.uploads: set[tuple[str, str]] = set()
        self.locked_until: dict[str, datetime] = {}
        self._guard, self._stopped = threading.Lock(), False
        self._cleaner: int | None = None
        events = self.client.meta.events
        events.register("before-send.s3", self._in_time)
        # Before the client's own handler makes such a 200 a 500: that one begins anew behind ours.
        events.unregister("before-parse.s3.*", handlers._handle_200_error)  # noqa: SLF001
        events.register_first("before-parse.s3.*", self._listen)
        events.register("before-parse.s3.*", handlers._handle_200_error)  # noqa: SLF001

    def _in_time(self, **_: Any) -> None:
        others = self._stopped and threading.get_ident() != self._cleaner
        if others or self.deadline.passed():
            raise OutOfTime("the time of the examination is over")

    def _listen(self, operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        body = response_dict.get("body")
        if response_dict.get("status_code") == 200 and isinstance(body, bytes):
            head = body[:400].lstrip()
            if head.startswith(b"<Error") or (head.startswith(b"<?xml") and b"<Error>" in head):
                self.lying.append(str(operation_model.name))
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            said = parsedate_to_datetime(response_dict["headers"]["date"])
            self.skew = said.timestamp() - self.clock.wall()

    def ask_time(self) -> float | None:
        """The server's clock minus ours, by its next answer; None when that tells no time."""
        self.skew = None
        self.head("time")
        return self.skew

    def stop(self) -> None:
        """No check sends anything from now on."""
        self._stopped = True

    def clean_up(self, seconds: float) -> None:
        """From now on this thread alone asks, for so long."""
        self.stop()
        self._cleaner = threading.get_ident()
        # The last request may begin just before the end, and then be met with silence.
        self.deadline = Deadline.after(max(1.0, seconds - self.silence), self.clock)

    def now(self) -> datetime:
        """The server's time, ours when it does not tell."""
        return datetime.fromtimestamp(self.clock.wall() + (self.skew or 0.0), UTC)

    def key(self, name: str) -> str:
        """The full key of a scratch object, which will be removed."""
        key = self.prefix + name
        with self._guard:
            self.touched.add(key)
        return key

    def at(self, name: str) -> dict[str, str]:
        """Bucket and key for a call of the client."""
        return {"Bucket": self.bucket, "Key": self.key(name)}

    def put(self, name: str, data: bytes, **more: Any) -> dict[str, Any]:
        """Put a scratch object; as briefly locked as can be where the bucket locks everything."""
        body = Body(data, self.deadline) if len(data) > 65536 else data
        extra = self.unlocked() if "ObjectLockMode" not in more else {}
        answer: dict[str, Any] = self.client.put_object(**self.at(name), Body=body, **extra, **more)
        return answer

    def unlocked(self) -> dict[str, Any]:
        """What keeps the bucket's own lock, which may be years, off a scratch object."""
        if not self.lock_default:
            return {}
        until = self.now() + timedelta(seconds=8)
        return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}

    def get(self, name: str, **more: Any) -> bytes:
        """The bytes of a scratch object, as long as there is time."""
        pieces, body = [], self.client.get_object(**self.at(name), **more)["Body"]
        with contextlib.closing(body):
            while piece := body.read(65536):
                self._in_time()
                pieces.append(piece)
        return b"".join(pieces)

    def head(self, name: str, **more: Any) -> dict[str, Any] | None:
        """What HEAD says; None when there is nothing."""
        try:
            answer: dict[str, Any] = self.client.head_object(**self.at(name), **more)
        except ClientError as error:
            if code_of(error) in {"404", "NoSuchKey", "NotFound"}:
                return None
            raise
        return answer

    def names(self, below: str, page: int = 1000) -> list[str]:
        """The names of scratch objects, page by page, in the order of the answer."""
        found, token = list[str](), dict[str, str]()
        for _ in range(100):
            answer = self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.prefix + below, MaxKeys=page, **token
            )
            found += [each["Key"][len(self.prefix) :] for each in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return found
            token = {"ContinuationToken": answer["NextContinuationToken"]}
        raise Transient("the list of the scratch prefix does not end after 100 pages")

    def begin(self, name: str, **more: Any) -> dict[str, str]:
        """Begin a multipart upload that will be aborted in the end."""
        extra = self.unlocked() if "ObjectLockMode" not in more else {}
        answer = self.client.create_multipart_upload(**self.at(name), **extra, **more)
        with self._guard:
            self.uploads.add((self.prefix + name, answer["UploadId"]))
        return {**self.at(name), "UploadId": answer["UploadId"]}

    def part(self, upload: dict[str, str], number: int, data: bytes, **more: Any) -> dict[str, Any]:
        """Send a part; what Complete wants to hear of it."""
        body = Body(data, self.deadline)
        answer = self.client.upload_part(**upload, PartNumber=number, Body=body, **more)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def complete(self, upload: dict[str, str], parts: list[dict[str, Any]], **more: Any) -> None:
        """Complete a multipart upload."""
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **more)


class Body(io.BytesIO):
    """Bytes that are no longer handed out once the time is over, however slowly they flow."""

    def __init__(self, data: bytes, deadline: Deadline) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if self._deadline.passed():
            raise OutOfTime("the time of the examination is over")
        return super().read(size)


def code_of(error: ClientError) -> str:
    """The server's own word for it."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def refusal(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str | None:
    """With which word the store refused; None when it did as it was asked.

    No answer at all, and an answer that says "later", are no refusal: they pass through.
    """
    try:
        call(*args, **kwargs)
    except ClientError as error:
        code, status = code_of(error), status_of(error)
        if code in _SLOW_DOWN or (status >= 500 and status != 501) or code == "InternalError":
            raise
        return code or str(status)
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What goes wrong inside does not matter."""
    with contextlib.suppress(ClientError, BotoCoreError, Transient, KeyError, ValueError):
        yield
