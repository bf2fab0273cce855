"""Who gets into a bucket, over which line, how fast, and what time is it there?"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import statistics
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds, skipped
from sre.backup.doctor.scene import Scene, refusal
from sre.backup.storage.s3_client import S3Storage
from sre.core.secrets import Secret
from sre.core.units import format_duration

__all__ = ["RIGHTS", "SPEED"]

_MIB = 2**20
_DAY = 86400.0
_SKEW = 300.0
_SLOW = 0.3


def wrong_secret(scene: Scene) -> Outcome:
    secret = Secret.literal(secrets.token_urlsafe(30))
    return _stranger(scene, S3Storage(replace(scene.quick, secret_key=secret, attempts=1)).client)


def wrong_key(scene: Scene) -> Outcome:
    access, secret = (Secret.literal(secrets.token_hex(10)) for _ in range(2))
    changed = replace(scene.quick, access_key=access, secret_key=secret, attempts=1)
    return _stranger(scene, S3Storage(changed).client)


def anonymous(scene: Scene) -> Outcome:
    config = Config(
        signature_version=UNSIGNED,
        retries={"total_max_attempts": 1},
        connect_timeout=3,
        read_timeout=6,
        s3={"addressing_style": scene.store.addressing},
    )
    client = boto3.client(
        "s3", endpoint_url=scene.store.endpoint, region_name=scene.store.region, config=config
    )
    return _stranger(scene, client)


def _stranger(scene: Scene, client: Any) -> Outcome:
    """Somebody without our credentials tries to read, list and write a scratch object."""
    scene.put("door/it", b"ours")
    put = {**scene.at("door/theirs"), "Body": b"theirs"}
    tries = {
        "read": lambda: client.get_object(**scene.at("door/it")),
        "list": lambda: client.list_objects_v2(Bucket=scene.bucket, Prefix=scene.prefix),
        "write": lambda: client.put_object(**put),
    }
    codes = {what: refusal(call) for what, call in tries.items()}
    let_in = [what for what, code in codes.items() if code is None]
    if let_in:
        return broken(f"may {', '.join(let_in)}")
    return holds(f"refused: {codes['read']}")


def line(scene: Scene) -> Outcome:
    address = urlsplit(scene.client.meta.endpoint_url)
    host = address.hostname or ""
    if address.scheme != "https":
        near = host in {"localhost", "::1"} or host.startswith("127.")
        return skipped("http on this machine") if near else absent("http: keys of objects are seen")
    version, ends = _handshake(host, address.port or 443)
    left = ends - scene.clock.wall()
    if left < 14 * _DAY:
        return absent(f"{version}; the certificate ends in {format_duration(max(0.0, left))}")
    return holds(f"{version}, certificate good for {int(left / _DAY)} days")


def _handshake(host: str, port: int) -> tuple[str, float]:
    context = ssl.create_default_context()
    with (
        contextlib.closing(socket.create_connection((host, port), timeout=5)) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        certificate: Any = secure.getpeercert() or {}
        return str(secure.version()), float(ssl.cert_time_to_seconds(certificate["notAfter"]))


def server_date(scene: Scene) -> Outcome:
    skew = scene.ask_time()
    if skew is None:
        return absent("its answers have no Date")
    scene.memo["skew"] = skew
    if abs(skew) > _SKEW:
        far, way = format_duration(abs(skew)), "ahead of" if skew > 0 else "behind"
        return broken(f"its clock is {far} {way} ours")
    return holds(f"{skew:+.0f}s from ours")


def honest(scene: Scene) -> Outcome:
    if scene.lying:
        names = ", ".join(sorted(set(scene.lying)))
        return broken(f"answered 200 with an error in the body: {names}")
    return holds("no answer of these was")


def latency(scene: Scene) -> Outcome:
    taken = []
    for _ in range(5):
        began = scene.clock.now()
        scene.head("basics/none")
        taken.append(scene.clock.now() - began)
        if taken[0] > _SLOW:
            break
    scene.memo["latency"] = middle = statistics.median(taken)
    return holds(f"{middle * 1000:.0f}ms, median of {len(taken)}")


def speed(scene: Scene) -> Outcome:
    small = _upload(scene, 256 * 1024)
    rate = small
    if small * scene.deadline.left() > 60 * _MIB:
        rate = _upload(scene, 2 * _MIB)
    scene.rate = scene.memo["upload_rate"] = rate
    began = scene.clock.now()
    size = len(scene.get("speed"))
    down = scene.memo["download_rate"] = size / max(1e-6, scene.clock.now() - began)
    return holds(f"up {rate / _MIB:.1f} MiB/s, down {down / _MIB:.1f} MiB/s, one stream")


def _upload(scene: Scene, size: int) -> float:
    began = scene.clock.now()
    scene.put("speed", secrets.token_bytes(size))
    return size / max(1e-6, scene.clock.now() - began)


RIGHTS = (
    Check("wrong-secret", "a wrong secret is refused", "every backup", "data", wrong_secret),
    Check("wrong-key", "unknown credentials are refused", "every backup", "data", wrong_key),
    Check("anonymous", "nobody gets in without credentials", "every backup", "data", anonymous),
    Check("transport", "the line is encrypted, the certificate good", "names of backups", "feature",
          line),
    Check("server-date", "the store tells the time, and it is ours (5 min)",
          "leases, retention, order of backups", "data", server_date),
    Check("honest-status", "200 means success", "commit of a backup", "data", honest,
          group="last"),
)  # fmt: skip

SPEED = (
    Check("latency", "how long an answer takes", "planning", "note", latency, group="first"),
    Check("throughput", "how fast bytes go up and down", "planning", "note", speed, group="first"),
)
