"""Does the document restore a backup with nothing of ours?"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre.demo.postgres import EmbeddedPostgres
from tests.e2e.backup_scene import (
    good,
    lines_scene,
    lines_server,
)
from tests.servers.child import program
from tests.servers.s3 import S3Server
from tests.unit.backup.setting import Scene

pytestmark = pytest.mark.postgres


DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "backup.md"


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    with lines_server() as server:
        yield server


@pytest.fixture
def scene(
    database: EmbeddedPostgres, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    return lines_scene(database, s3_server, tmp_path, monkeypatch)


def documented(words: str) -> str:
    """The shell block of docs/backup.md that holds these words."""
    found = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    [block] = [each for each in found if words in each]
    return str(block)


def by_hand(script: str, folder: Path) -> str:
    """A block as a careful person runs it; what it said."""
    argv = ["bash", "-eu", "-o", "pipefail", "-c", script]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetched(scene: Scene, server: S3Server, folder: Path) -> dict[str, Any]:
    """A new backup, its objects downloaded as any tool does it, the keys beside them."""
    entry = good(scene.run("run", "orders", "--format", "json"))
    manifest = entry["manifest"]
    place = manifest["volumes"][0]["object"].rpartition("/")[0]
    wanted = {manifest["key"]: f"keys/{entry['id']}.age"}
    wanted |= {each["object"]: Path(each["object"]).name for each in manifest["volumes"]}
    wanted |= {f"{place}/{name}": name for name in ("manifest.json", "manifest.json.sig")}
    (folder / "keys").mkdir(parents=True)
    for key, name in wanted.items():
        prefixed = f"{scene.store['prefix']}/{key}"
        server.client().download_file("backups", prefixed, str(folder / name))
    for name, target in (("identity", "me"), ("signing.pub", "signing.pub")):
        (folder / target).write_bytes((scene.folder / "keys" / name).read_bytes())
    return entry


def test_by_hand_with_nothing_of_ours(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """The commands of docs/backup.md: age, zstd and tar alone."""
    for tool in ("age", "zstd", "tar"):
        program(tool)
    hand = tmp_path / "hand"
    entry = fetched(scene, s3_server, hand)
    assert entry["volumes"] > 1
    (hand / "data").mkdir()
    by_hand(documented("zstd -dc").replace("ID", entry["id"]), hand)
    ours = good(scene.run("restore", entry["id"], "--to", "ours", "--format", "json"))
    assert (
        by_hand(f"diff -r -x postgresql.auto.conf --no-dereference data {ours['folder']}", hand)
        == ""
    )


def test_one_volume_by_hand(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """The line of the interfaces."""
    for tool in ("age", "zstd", "tar"):
        program(tool)
    one = Scene(scene.folder, scene.dsn, scene.store, scene.bin_dir, "1GiB")
    one.write()
    hand = tmp_path / "hand"
    entry = fetched(one, s3_server, hand)
    assert entry["volumes"] == 1
    line = "age -d -i me keys/ID.age > k; age -d -i k v000000.zst.age | zstd -d | tar x"
    by_hand(line.replace("ID", entry["id"]), hand)
    assert (hand / "backup_manifest").exists()


def test_the_signature_by_hand(scene: Scene, s3_server: S3Server, tmp_path: Path) -> None:
    """openssl alone can tell whose a manifest is."""
    program("openssl")
    hand = tmp_path / "hand"
    fetched(scene, s3_server, hand)
    assert "Signature Verified Successfully" in by_hand(documented("openssl"), hand)
