"""Is a folder kept by one process at a time, and free again when that process is gone?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sre.core.errors import Locked
from sre.core.lock import keep_folder

KEEP = """
import sys
from pathlib import Path
from sre.core.lock import keep_folder
keep_folder(Path(sys.argv[1]))
print("kept", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_kept_until_its_process_dies_however_it_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "kept\n"
        with pytest.raises(Locked, match="another run writes into"):
            keep_folder(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    keep_folder(tmp_path)
    keep_folder(tmp_path)  # its own
    assert list(tmp_path.iterdir()) == []
