"""Where in a store does what stand?

    v1/repo.json                                          format and id
    v1/<db>/<system>-<major>/backups/<id>/v000000.zst.age  volumes
                                          manifest.json.sig, then manifest.json: the commit
                                          sidecar.zst.age  for those that build on it
    v1/keys/<id>.age                                      the backup's own key, for the recipients
    v1/attest/<id>/<utc>-<level>.json, .json.sig          what verifications found
    v1/marks/<id>/hold.json, expiring.json                kept by somebody; being deleted

Every key is written once. A backup exists when its manifest does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["MANIFEST", "REPO", "Place", "attestation", "database_of", "new_id", "place_of", "stamp"]

MANIFEST = "manifest.json"
REPO = "v1/repo.json"
ID = re.compile(r"\d{8}T\d{6}Z-(?:full|diff|incr)-[0-9a-hjkmnp-tv-z]{8}")
_MANIFEST_KEY = re.compile(
    r"v1/(?P<db>[a-z0-9][a-z0-9-]*)/(?P<system>[0-9]+-[0-9]+)/backups/(?P<id>[^/]+)/manifest\.json"
)
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True)
class Place:
    """Where one backup stands.

    Attributes:
        system: system identifier and major version; backups of two servers never mix.
    """

    db: str
    system: str
    id: str

    @property
    def folder(self) -> str:
        """The prefix of its volumes and its manifest."""
        return f"v1/{self.db}/{self.system}/backups/{self.id}/"

    @property
    def manifest(self) -> str:
        """The commit."""
        return self.folder + MANIFEST

    @property
    def signature(self) -> str:
        """Written before the manifest, so that no manifest is ever without one."""
        return self.manifest + ".sig"

    @property
    def key(self) -> str:
        """The wrapped key."""
        return f"v1/keys/{self.id}.age"

    def mark(self, name: str) -> str:
        """The key of a mark: `hold` (somebody keeps it), `expiring` (it is being deleted)."""
        return f"v1/marks/{self.id}/{name}.json"

    @property
    def sidecar(self) -> str:
        """What a later backup that builds on this one compares with."""
        return f"{self.folder}sidecar.zst.age"

    def volume(self, number: int) -> str:
        """The key of a volume, from 0."""
        return f"{self.folder}v{number:06d}.zst.age"


def place_of(key: str) -> Place | None:
    """The backup whose manifest stands at `key`; None when it is no manifest's key."""
    match = _MANIFEST_KEY.fullmatch(key)
    if match is None or not ID.fullmatch(match["id"]):
        return None
    return Place(match["db"], match["system"], match["id"])


def database_of(db: str) -> str:
    """The prefix of all backups of a database."""
    return f"v1/{db}/"


def attestation(backup: str, at: float, level: int) -> str:
    """The key of a verification's result, without `.sig`."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"v1/attest/{backup}/{moment:%Y%m%dT%H%M%S.%fZ}-{level}.json"


def stamp(at: float) -> str:
    """A moment as manifests say it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id(at: float, kind: str, chance: bytes) -> str:
    """`20261121T234512Z-full-` and eight letters, by which two of one second differ."""
    letters = "".join(_DIGITS[byte % 32] for byte in chance[:8])
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{kind}-{letters}"
