"""Do the commands on keys and on the index say and return what they promise, as typed?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.unit.backup.golden_keys import golden_identity, golden_keys
from tests.unit.backup.setting import ROOT

GOLDEN = Path(__file__).parent / "golden" / "format-1.tar"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the golden store and a declaration."""
    with tarfile.open(GOLDEN) as tar:
        tar.extractall(tmp_path / "store", filter="data")
    keys = golden_keys("first", "second")
    assert keys.signing is not None
    (tmp_path / "identity").write_text(golden_identity("first") + "\n")
    (tmp_path / "safe").write_text(golden_identity("second") + "\n")
    (tmp_path / "signing").write_text(keys.signing.reveal() + "\n")
    declare(tmp_path, *keys.recipients)
    return tmp_path


def declare(folder: Path, *recipients: str) -> None:
    (folder / "sre.yaml").write_text(
        f"""\
version: 1
shop: {{name: demo, base_url: "http://127.0.0.1:9"}}
stores: {{main: {{kind: local, path: {folder}/store}}}}
keys:
  recipients: [{", ".join(recipients)}]
  trusted: ["{golden_keys("first").trusted[0]}"]
  signing: "${{file:{folder}/signing}}"
  identity: "${{file:{folder}/identity}}"
databases: {{orders: {{kind: postgres, dsn: "${{env:DSN}}", store: main}}}}
"""
    )


def sre(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from sre.cli.main import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", program, "backup", *arguments],
        capture_output=True, text=True, timeout=60, cwd=folder,
        env={**os.environ, "DSN": "host=127.0.0.1 port=9", "SRE_STATE": str(folder / "state"),
             "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def ids(folder: Path) -> list[str]:
    listed = sre(folder, "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    return [each["id"] for each in json.loads(listed.stdout)["backups"]]


def test_a_rotation_as_typed(shop: Path) -> None:
    found = json.loads(sre(shop, "keys", "list", "--format", "json").stdout)
    [orders] = found["databases"]
    assert orders["keys"] == 3
    assert sorted(orders["recipients"].values()) == [1, 3]
    assert len(orders["shredded"]) == 1
    assert sre(shop, "keys", "check").returncode == 0
    escrow = sre(shop, "keys", "check", "--identity", "safe")
    assert escrow.returncode == 7
    assert "opens 1 of 3" in escrow.stdout
    assert "would be wrapped again" in sre(shop, "keys", "rewrap", "--dry-run").stdout
    done = sre(shop, "keys", "rewrap", "orders")
    assert (done.returncode, done.stderr.count("never examined")) == (0, 0), done.stderr
    assert sre(shop, "keys", "check", "--identity", "safe", "--newest", "2").returncode == 0
    declare(shop, *golden_keys("second").recipients)
    done = sre(shop, "keys", "rewrap", "--revoke", "--format", "json")
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert {each["state"] for each in content["keys"]} == {"done"}
    assert len(content["notes"]) == 2, "a single recipient, and this host opens no more"
    assert sre(shop, "keys", "check").returncode == 7
    assert sre(shop, "keys", "check", "--identity", "safe").returncode == 0
    again = sre(shop, "keys", "rewrap")
    assert (again.returncode, "3 keys" in again.stdout) == (0, True)
    assert "warning: one recipient alone" in sre(shop, "keys", "list").stdout
    everything = "".join(
        path.read_text(errors="replace") for path in (shop / "state").rglob("*") if path.is_file()
    )
    assert "AGE-SECRET-KEY-" not in everything
    assert "AGE-SECRET-KEY-" not in done.stdout + done.stderr


def test_shredding_as_typed(shop: Path) -> None:
    one = next(id_ for id_ in ids(shop) if "HOLD" not in id_)
    held = sre(shop, "keys", "shred", one, "--reason", "asked", "--yes")
    assert held.returncode == 5, "the oldest is held"
    assert sre(shop, "release", one).returncode == 0
    plan = sre(shop, "keys", "shred", one, "--reason", "asked")
    assert (plan.returncode, "would shred" in plan.stdout) == (5, True)
    assert sre(shop, "keys", "shred", one, "--reason", "asked", "--dry-run").returncode == 0
    assert sre(shop, "keys", "shred", one, "--reason", "asked", "--yes").returncode == 0
    listed = sre(shop, "list").stdout
    assert len(re.findall(r"SHREDDED ON [\d-]+T\d\d:\d\d:\d\dZ", listed)) == 2
    refused = sre(shop, "restore", one, "--to", "out")
    assert refused.returncode == 7
    assert "shredded" in refused.stderr
    assert not (shop / "out").exists()
    assert sre(shop, "keys", "shred", "nonsense", "--reason", "x", "--yes").returncode == 2


def test_the_index_and_the_bundle_as_typed(shop: Path) -> None:
    assert "4 backups" in sre(shop, "catalogue", "rebuild").stdout
    checked = sre(shop, "catalogue", "check", "orders", "--format", "json")
    assert json.loads(checked.stdout)["databases"][0]["in_index"] == 4
    assert checked.returncode == 0
    one = ids(shop)[0]
    assert sre(shop, "keys", "export", one, "--to", "safe.tar").returncode == 0
    again = sre(shop, "keys", "export", one, "--to", "safe.tar")
    assert (again.returncode, "not overwritten" in again.stderr) == (5, True)
    [manifest] = (shop / "store").rglob(f"{one}/manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:-9])
    checked = sre(shop, "catalogue", "check")
    assert checked.returncode == 3
    assert "not counted" in checked.stdout
