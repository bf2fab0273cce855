"""How does a test talk to MongoDB where no server can be had? To this MOCK of its wire protocol.

It answers `hello`, SCRAM is not asked for, and every other command is answered by a document that
the test gives, or refused. The documents have the fields that MongoDB's manual describes for
`serverStatus` and `replSetGetStatus` (versions 4.4 to 7.0), with numbers made up here.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

__all__ = ["NOW", "MongoMock", "hello", "members", "mongo_mock", "status"]

NOW = datetime(2026, 1, 2, 3, 4, 5)
_REPLY, _QUERY, _MESSAGE = 1, 2004, 2013


def hello(**changes: Any) -> dict[str, Any]:
    return {
        "helloOk": True, "ismaster": True, "isWritablePrimary": True, "maxWireVersion": 21,
        "minWireVersion": 0, "maxBsonObjectSize": 2**24, "maxMessageSizeBytes": 48000000,
        "maxWriteBatchSize": 100000, "localTime": NOW, "readOnly": False, "ok": 1.0, **changes,
    }  # fmt: skip


def status(**changes: Any) -> dict[str, Any]:
    return {
        "host": "db1:27017", "version": "7.0.14", "process": "mongod", "uptime": 86400.0,
        "localTime": NOW,
        "asserts": {"regular": 1, "warning": 0, "msg": 0, "user": 12, "rollovers": 0},
        "connections": {"current": 40, "available": 160, "totalCreated": 900, "active": 3},
        "extra_info": {"note": "fields vary by platform", "page_faults": 7},
        "globalLock": {
            "totalTime": 9000000,
            "currentQueue": {"total": 3, "readers": 2, "writers": 1},
            "activeClients": {"total": 5, "readers": 4, "writers": 1},
        },
        "locks": {
            "Global": {
                "acquireCount": {"r": 500, "w": 30},
                "timeAcquiringMicros": {"r": 1500000, "w": 500000},
            },
        },
        "mem": {"bits": 64, "resident": 200, "virtual": 1500},
        "metrics": {"cursor": {"timedOut": 4, "open": {"noTimeout": 0, "pinned": 0, "total": 6}}},
        "network": {"bytesIn": 1000, "bytesOut": 2000, "numRequests": 300},
        "opcounters": {
            "insert": 10, "query": 20, "update": 30, "delete": 40, "getmore": 50, "command": 60,
        },
        "wiredTiger": {
            "cache": {
                "bytes currently in the cache": 800, "maximum bytes configured": 1000,
                "tracked dirty bytes in the cache": 50,
            },
        },
        "ok": 1.0, **changes,
    }  # fmt: skip


def members(*lags: float, primary: bool = True, **changes: Any) -> dict[str, Any]:
    """A replica set: a primary that this is, a secondary for each lag in seconds, an arbiter."""
    head = {
        "_id": 0, "name": "db1:27017", "health": 1.0, "state": 1 if primary else 2, "self": True,
        "stateStr": "PRIMARY" if primary else "SECONDARY", "optimeDate": NOW,
    }  # fmt: skip
    others = [
        {
            "_id": n, "name": f"db{n + 1}:27017", "health": 1.0, "state": 2,
            "stateStr": "SECONDARY", "optimeDate": NOW - timedelta(seconds=lag),
        }
        for n, lag in enumerate(lags, 1)
    ]  # fmt: skip
    arbiter = {"_id": 9, "name": "arb:27017", "health": 1.0, "state": 7, "stateStr": "ARBITER"}
    return {"set": "shop", "date": NOW, "myState": 1, "members": [head, *others, arbiter],
            "ok": 1.0, **changes}  # fmt: skip


@dataclass
class MongoMock:
    """What is answered: a document by command; a command that is not here is refused (13)."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return self.answers.get("hello", hello())
        self.asked.append(name)
        if name == "find":
            name = "oldest" if command.get("sort", {}).get("$natural") == 1 else "newest"
        refusal = {"ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized"}
        return self.answers.get(name, refusal)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        import bson

        with contextlib.suppress(OSError):
            while head := self._exactly(16):
                size, number, _, code = struct.unpack("<iiii", head)
                body = self._exactly(size - 16)
                if code == _QUERY:
                    document = bson.decode(body[body.index(b"\0", 4) + 9 :])
                    reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self._answer(document))
                    code = _REPLY
                else:
                    flags = struct.unpack("<I", body[:4])[0]
                    document = bson.decode(body[5:])
                    if flags & 2:
                        continue
                    reply = b"\0\0\0\0\0" + bson.encode(self._answer(document))
                whole = struct.pack("<iiii", 16 + len(reply), 1, number, code) + reply
                self.request.sendall(whole)

    def _answer(self, document: dict[str, Any]) -> dict[str, Any]:
        return self.server.mock.answer(document)  # type: ignore[attr-defined]

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.request.recv(size - len(data))
            if not chunk:
                return b""
            data += chunk
        return data


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    address_family = socket.AF_INET
    mock: MongoMock


@contextlib.contextmanager
def mongo_mock(**answers: dict[str, Any]) -> Iterator[MongoMock]:
    """The mock on a free port, with these answers."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        mock = server.mock = MongoMock(answers, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield mock
        finally:
            server.shutdown()
            thread.join(5)
