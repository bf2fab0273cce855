"""How does a small record carry its own signature, so that one object says it or nothing does?

    {"schema": "sre.signed/1", "record": "<canonical JSON>", "signature": "<hex>"}

The signature is over the text of the record as it stands there. It is checked before that text is
read. (pure)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sre.backup.keys import sign, signed_by_trusted
from sre.backup.manifest import canonical
from sre.backup.strict import strict_json
from sre.core.secrets import Secret

__all__ = ["LARGEST", "enclose", "opened"]

LARGEST = 2**20
"""Bytes; what is larger is no record of ours."""

_SCHEMA = "sre.signed/1"


def enclose(record: dict[str, Any], signing: Secret | None) -> bytes:
    """The object. Raises UsageError without a key to sign with."""
    text = canonical(record)
    return canonical(
        {"schema": _SCHEMA, "record": text.decode(), "signature": sign(text, signing).hex()}
    )


def opened(data: bytes, trusted: Iterable[str], schema: str) -> dict[str, Any] | None:
    """The record in it, if a trusted key signed it and it is of that schema; else None."""
    if len(data) > LARGEST:
        return None
    try:
        outer = strict_json(data)
        text, signature = outer["record"].encode(), bytes.fromhex(outer["signature"])
        if outer["schema"] != _SCHEMA or not signed_by_trusted(text, signature, trusted):
            return None
        record = strict_json(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if record.get("schema") == schema else None
