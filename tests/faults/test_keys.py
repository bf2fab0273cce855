"""Who can open what after keys were changed, taken away or misused? (rows 12, 13, 33)"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sre.backup.catalogue import Damaged
from sre.backup.keys import new_backup_key, sign, wrap
from sre.backup.manifest import Manifest, Volume
from sre.backup.model import Keys
from sre.backup.opening import Sealed, open_volumes, secret_of
from sre.backup.restoring.restore import restore_to
from sre.core.errors import IntegrityError, SreError
from tests.faults.ground import Ground
from tests.unit.backup.setting import make_keys


def with_keys(ground: Ground, keys: Keys) -> Ground:
    return dataclasses.replace(ground, keys=keys)


def refused(ground: Ground, id: str) -> SreError:
    """The restore says so and leaves no trace at the target."""
    target = ground.folder / "refused"
    with pytest.raises(IntegrityError) as raised:
        restore_to(ground.job(bad=False), id, target)
    assert raised.value.exit_code == 7
    assert not target.exists()
    return raised.value


def test_a_recipient_that_was_taken_out(ground: Ground) -> None:
    """It opens what was made for it, and nothing later; the new one the other way round."""
    other = make_keys(ground.folder / "other")
    both = dataclasses.replace(ground.keys, trusted=(*ground.keys.trusted, *other.trusted))
    old = with_keys(ground, both)
    new = with_keys(
        ground, dataclasses.replace(both, recipients=other.recipients, identity=other.identity)
    )
    first, second = old.run(bad=False), new.run(bad=False)
    old.restores(first)
    new.restores(second)
    for each, id in ((old, second), (new, first)):
        assert f"v1/keys/{id}.age" in str(refused(each, id))
    assert old.passes(first)
    assert not old.passes(second)


def test_a_signing_key_that_was_rotated(ground: Ground) -> None:
    """What it signed counts while it is trusted, and no longer."""
    other = make_keys(ground.folder / "other")
    trusted = (*ground.keys.trusted, *other.trusted)
    new = with_keys(
        ground, dataclasses.replace(ground.keys, signing=other.signing, trusted=trusted)
    )
    first, second = ground.run(bad=False), new.run(bad=False)
    assert new.listed() == [first, second]
    new.restores(first, second)
    after = with_keys(new, dataclasses.replace(new.keys, trusted=other.trusted))
    refused(after, first)
    after.restores(second)


def manifest_of(ground: Ground, id: str) -> Manifest:
    found = ground.job(bad=False).find(id)
    return found.catalogue.manifest(found.place)


def test_an_old_manifest_played_again(ground: Ground) -> None:
    """A genuine one under the name of another, or the old one after a new one was made."""
    job = ground.job(bad=False)
    first, second = ground.run(bad=False), ground.run(bad=False)
    storage, one, two = (
        job.storage(job.declared("orders")),
        *(manifest_of(ground, each).where for each in (first, second)),
    )
    for name in ("manifest", "signature"):
        key = getattr(two, name)
        storage.delete(key)
        storage.put(key, storage.get(getattr(one, name)))
    assert "manifest" in str(refused(ground, second))
    ground.restores(first)


def tar_of(size: int) -> bytes:
    """One file of that many zeros."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("PG_VERSION")
        info.size = size
        tar.addfile(info, io.BytesIO(bytes(size)))
    return out.getvalue()


def planted(ground: Ground, plain: bytes, compressed: bytes, **lies: Any) -> Sealed:
    """A volume that somebody with the recipient's key made by hand, and a manifest to it."""
    import pyrage

    id = ground.run(bad=False)
    job = ground.job(bad=False)
    storage = job.storage(job.declared("orders"))
    made = manifest_of(ground, id)
    secret, recipient = new_backup_key()
    body = pyrage.encrypt(compressed, [pyrage.x25519.Recipient.from_str(recipient)])
    key = made.where.volume(0)
    storage.delete(key)
    storage.put(key, body)
    facts = {"plain_bytes": len(plain), "plain_sha256": hashlib.sha256(plain).hexdigest(), **lies}
    volume = Volume(key, len(body), hashlib.sha256(body).hexdigest(), **facts)
    return Sealed(storage, dataclasses.replace(made, volumes=(volume,)), secret)


def bomb(size: int) -> bytes:
    return zstandard.ZstdCompressor(level=19).compress(bytes(size))


def test_a_compression_bomb_is_named(ground: Ground) -> None:
    """A hundred million zeros in some kilobytes, where the manifest says a thousand bytes."""
    [fault] = open_volumes(planted(ground, bytes(1000), bomb(2**27)))
    assert "not what the manifest says" in fault.problem or "does not open" in fault.problem


def test_a_window_larger_than_ours_is_refused(ground: Ground) -> None:
    """A frame that asks its reader for a gigabyte of memory."""
    wide = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True, write_checksum=True)
    squeeze = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = squeeze.compress(bytes(2**20)) + squeeze.flush()
    [fault] = open_volumes(planted(ground, bytes(2**20), data))
    assert "does not open" in fault.problem


@pytest.mark.parametrize("how", ["garbage", "cut", "two frames", "checksum", "empty"])
def test_compressed_data_that_is_broken(ground: Ground, how: str) -> None:
    """Encrypted and hashed well, and still nothing that we would have written."""
    plain = bytes(range(256)) * 4096
    squeeze = zstandard.ZstdCompressor(write_checksum=True)
    good = squeeze.compress(plain)
    data = {
        "garbage": b"no zstd at all" * 99,
        "cut": good[:-6],
        "two frames": good + good,
        "checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "empty": b"",
    }[how]
    [fault] = open_volumes(planted(ground, plain, data))
    assert fault.object.endswith("v000000.zst.age")


def test_a_wrapped_key_of_another_kind(ground: Ground) -> None:
    """A key object that opens, and holds no key: named, not a crash."""
    id = ground.run(bad=False)
    job = ground.job(bad=False)
    storage, made = job.storage(job.declared("orders")), manifest_of(ground, id)
    wrapped = wrap("no secret at all", ground.keys.recipients)
    storage.delete(made.key)
    storage.put(made.key, wrapped)
    lying = dataclasses.replace(
        made, key_bytes=len(wrapped), key_sha256=hashlib.sha256(wrapped).hexdigest()
    )
    for key in (made.where.manifest, made.where.signature):
        storage.delete(key)
    storage.put(made.where.signature, sign(lying.encode(), ground.keys.signing))
    storage.put(made.where.manifest, lying.encode())
    with pytest.raises(SreError) as raised:
        secret = secret_of(storage, lying, ground.keys)
        open_volumes(Sealed(storage, lying, secret))
    assert raised.value.exit_code in (1, 7)
    assert not isinstance(raised.value, Damaged) or made.key in str(raised.value)
    assert not Path(ground.folder / "refused").exists()
