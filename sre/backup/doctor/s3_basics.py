"""Does a bucket give back what was put into it, list it whole, and forget what was deleted?"""

from __future__ import annotations

import os

from sre.backup.doctor.model import Check, Outcome, absent, broken, holds, skipped
from sre.backup.doctor.scene import Scene, refusal

__all__ = ["BASICS"]

_ODD = ("ä ö/日本.bin", "plus+and space", "per%20cent%", "a=b&c?d#e", "dot./..x", "q'uote\"s")


def put_get(scene: Scene) -> Outcome:
    data = os.urandom(40_000)
    scene.put("basics/whole", data)
    if scene.get("basics/whole") != data:
        return broken("other bytes came back than were put")
    head = scene.head("basics/whole")
    if head is None or head["ContentLength"] != len(data):
        return broken(f"HEAD tells {head and head['ContentLength']} bytes of {len(data)}")
    return holds("bytes and size come back")


def ranges(scene: Scene) -> Outcome:
    data = os.urandom(4096)
    scene.put("basics/range", data)
    for header, wanted in (
        ("bytes=0-0", data[:1]), ("bytes=1000-1999", data[1000:2000]), ("bytes=4000-", data[4000:]),
    ):  # fmt: skip
        if scene.get("basics/range", Range=header) != wanted:
            return broken(f"{header} gives other bytes")
    return holds("first, middle, last")


def empty(scene: Scene) -> Outcome:
    scene.put("basics/empty", b"")
    head = scene.head("basics/empty")
    if head is None or head["ContentLength"] != 0 or scene.get("basics/empty") != b"":
        return broken("it is taken and not there afterwards")
    return holds()


def odd_names(scene: Scene) -> Outcome:
    bad = [name for name in _ODD if not _kept(scene, f"odd/{name}")]
    listed = set(scene.names("odd/"))
    bad += [name for name in _ODD if f"odd/{name}" not in listed and name not in bad]
    return absent(f"not: {', '.join(map(repr, bad))}") if bad else holds(f"{len(_ODD)} of them")


def long_names(scene: Scene) -> Outcome:
    room = 1024 - len(scene.prefix) - len("long/")
    name = "long/" + "x" * (room - 8)
    code = refusal(scene.put, name, b"long")
    if code is not None:
        return absent(f"a key of {len(scene.prefix + name)} bytes is refused: {code}")
    found = scene.get(name) == b"long"
    return holds("1016 bytes") if found else broken("it is taken and not there afterwards")


def _kept(scene: Scene, name: str) -> bool:
    data = name.encode()
    return (
        refusal(scene.put, name, data) is None
        and scene.head(name) is not None
        and (scene.get(name) == data)
    )


def read_after_write(scene: Scene) -> Outcome:
    for number in range(3):
        name, data = f"fresh/{number}", os.urandom(100)
        if scene.head(name) is not None:
            return broken("HEAD finds an object that was never put")
        scene.put(name, data)
        if scene.head(name) is None or scene.get(name) != data:
            return broken("an object that was put is not there at once")
    return holds("3 of 3")


def overwrite(scene: Scene) -> Outcome:
    for number in range(4):
        data = b"version %d" % number + b"." * number
        scene.put("over", data)
        if (found := scene.get("over")) != data:
            return broken(f"{found[:12]!r} is read after {data[:12]!r} was put")
        head = scene.head("over")
        if head is None or head["ContentLength"] != len(data):
            return broken("HEAD tells of an older version")
    return holds("4 of 4")


def list_after_write(scene: Scene) -> Outcome:
    wanted: set[str] = set()
    for number in range(3):
        name = f"seen/{number}"
        scene.put(name, b"x")
        wanted.add(name)
        missing = wanted - set(scene.names("seen/"))
        if missing:
            return broken("a list lacks what was put just before")
    return holds("3 of 3")


def list_pages(scene: Scene) -> Outcome:
    wanted = sorted(f"pages/{number}" for number in range(5))
    for name in wanted:
        scene.put(name, b"x")
    found = scene.names("pages/", page=2)
    if len(found) != len(set(found)):
        return broken("pages of a list repeat keys")
    if sorted(found) != wanted:
        return broken(f"{len(wanted)} keys, and pages of 2 show {len(set(found))} of them")
    return holds("5 keys in pages of 2")


def list_prefix(scene: Scene) -> Outcome:
    for name in ("near/a/1", "near/ab", "near/b"):
        scene.put(name, b"x")
    found = {below: sorted(scene.names(below)) for below in ("near/a/", "near/a")}
    if found != {"near/a/": ["near/a/1"], "near/a": ["near/a/1", "near/ab"]}:
        return broken(f"it lists {sorted({n for names in found.values() for n in names})}")
    return holds()


def delete(scene: Scene) -> Outcome:
    scene.put("gone/it", b"x")
    scene.client.delete_object(**scene.at("gone/it"))
    if scene.head("gone/it") is not None:
        return broken("a deleted object is still there")
    if scene.names("gone/"):
        return broken("a list shows a deleted object")
    return holds()


def delete_nothing(scene: Scene) -> Outcome:
    code = refusal(scene.client.delete_object, **scene.at("never"))
    return holds() if code is None else absent(f"refused: {code}")


def delete_many(scene: Scene) -> Outcome:
    names = ["many/0", "many/1"]
    for name in names:
        scene.put(name, b"x")
    objects = [{"Key": scene.key(name)} for name in names]
    call = scene.client.delete_objects
    code = refusal(call, Bucket=scene.bucket, Delete={"Objects": objects, "Quiet": True})
    if code is not None:
        return absent(f"refused: {code}; objects are deleted one by one")
    left = [name for name in names if scene.head(name) is not None]
    return broken(f"{len(left)} of 2 are still there") if left else holds()


def etag(scene: Scene) -> Outcome:
    put = scene.put("etag", b"one")["ETag"]
    head, after = scene.head("etag"), scene.put("etag", b"two")["ETag"]
    if head is None or head["ETag"] != put:
        return broken("HEAD tells another ETag than the put")
    if put == after:
        return broken("other content has the same ETag")
    return holds("changes with the content; never read as an MD5")


def foreign(scene: Scene) -> Outcome:
    if not scene.root:
        return skipped("the store has no prefix of its own")
    code = refusal(scene.client.list_objects_v2, Bucket=scene.bucket, Prefix="", MaxKeys=1)
    if code is None:
        return absent("these credentials may list the whole bucket")
    return holds(f"refused: {code}")


BASICS = (
    Check("put-get", "what was put comes back", "everything", "data", put_get),
    Check("range", "a range of an object can be read", "restore, verify", "data", ranges),
    Check("empty-object", "an object of no bytes is kept", "small databases", "feature", empty),
    Check(
        "read-after-write", "an object is there once it was put", "commit of a backup", "data",
        read_after_write,
    ),
    Check(
        "overwrite", "the newest version is read", "leases", "feature", overwrite,
    ),
    Check(
        "list-after-write", "a list shows what was put before", "list, retention", "data",
        list_after_write,
    ),
    Check("list-pages", "the pages of a list are whole", "list, retention", "data", list_pages),
    Check("list-prefix", "a list keeps to its prefix", "list, retention", "data", list_prefix),
    Check("delete", "what was deleted is gone", "retention", "feature", delete),
    Check("delete-nothing", "deleting nothing is success", "retention", "note", delete_nothing),
    Check("delete-many", "many objects go with one request", "speed of retention", "note",
          delete_many),
    Check("etag", "an ETag names one content", "leases", "feature", etag),
    Check("odd-names", "keys may have any characters", "prefixes with such names", "note",
          odd_names),
    Check("long-names", "a key may have 1016 bytes", "long prefixes", "note", long_names),
    Check("foreign-prefix", "credentials end at the store's prefix", "separation of shops", "note",
          foreign),
)  # fmt: skip
