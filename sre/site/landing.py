"""How does the restored data become the data folder of a node? (effects)

It is restored beside its place (or here, for a node that is another machine) under a name of this
operation, whole or not at all; a run that was killed finds it there. Then it gets its name.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sre.backup.restoring.restore import restore_to
from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.files import replace_file, state_folder, sync_folder
from sre.failover.clusters.pg.conninfo import setting_line
from sre.failover.engine import Placed
from sre.site.looking import is_local
from sre.site.sending import send_folder
from sre.site.source import Source

__all__ = ["Landing", "without"]

Note = Mapping[str, Any]
# fixed text; the folder comes as $1, its place as $2
_PLACE = """set -eu
[ -e "$1/PG_VERSION" ] || { [ -e "$2/PG_VERSION" ] && exit 0; echo "$1 is not there" >&2; exit 1; }
[ ! -d "$2" ] || rmdir "$2"
mv "$1" "$2"
sync"""
_LISTEN = re.compile(r"^\s*listen_addresses\s*=?\s*'", re.MULTILINE)
_OURS = (
    "listen_addresses", "port", "primary_conninfo", "primary_slot_name", "restore_command",
    "synchronous_standby_names",
)  # fmt: skip


class Landing:
    """The first node of a cluster that is built anew."""

    def __init__(self, source: Source, node: Placed, facts: Mapping[str, Any]) -> None:
        self.source, self.node, self.facts = source, node, facts
        self.data = node.service.data_dir.rstrip("/")
        self.draft = f"{self.data}.sre-rebuild-{facts['token']}"
        here = state_folder() / "rebuild" / str(facts["token"])
        self.here = Path(self.draft) if is_local(node) else here.absolute() / "data"
        self.told = here.absolute() / "restored.json"

    def restore(self, deadline: Deadline) -> Note:  # noqa: ARG002  as long as it takes
        """The newest backup and the log, to the wanted moment; again only if it was not whole.

        Raises as `restore_to`.
        """
        with contextlib.suppress(OSError, ValueError):
            if (self.here / "PG_VERSION").exists() or self._placed():
                return dict(json.loads(self.told.read_text(encoding="utf-8")))
        if self.here.exists():  # whole, but killed before it was written down what it is
            shutil.rmtree(self.here)
        self.told.parent.mkdir(parents=True, exist_ok=True)
        owner = self.facts["uid"] if is_local(self.node) and os.geteuid() == 0 else None
        done = restore_to(
            self.source.job, self.source.database, self.here, wish=self.source.wish(owner)
        )
        note = {
            "id": done.id, "bytes": done.bytes, "seconds": done.seconds, "lsn": done.lsn,
            "newest": done.newest, "consistent": done.consistent, "recovered": done.recovered,
            "short": done.short, "phases": dict(done.phases), "notes": list(done.notes),
        }  # fmt: skip
        replace_file(self.told, json.dumps(note).encode())
        return note

    def _placed(self) -> bool:
        return is_local(self.node) and Path(self.data, "PG_VERSION").exists()

    def drop(self) -> None:
        """As if nothing had been restored; only before it has its place."""
        shutil.rmtree(self.here, ignore_errors=True)
        for stale in self.here.parent.glob(f".{glob.escape(self.here.name)}.restoring*"):
            if stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)
        self.forget()

    def place(self, deadline: Deadline) -> Note:
        """Its name, and nothing else has it. Raises CheckFailed, Transient."""
        if is_local(self.node):
            return self._rename()
        node = self.node
        if node.control.read(node.service, f"{self.data}/PG_VERSION", deadline) is not None:
            return {}
        sent = send_folder(self.here, node, self.draft, deadline)
        argv = ["sh", "-c", _PLACE, "sre", self.draft, self.data]
        done = node.control.run(node.service, argv, deadline)
        if not done.ok:
            raise CheckFailed(f"{node.name}: {' '.join(done.stderr.split())[-300:]}")
        return {"sent": sent}

    def _rename(self) -> Note:
        place = Path(self.data)
        if not self.here.exists() and (place / "PG_VERSION").exists():
            return {}
        try:
            if place.is_dir():
                place.rmdir()
            self.here.rename(place)
        except OSError as error:
            raise CheckFailed(f"{place} cannot get its name: {error.strerror}") from error
        sync_folder(place.parent)
        return {}

    def configure(self, port: str, host: str, deadline: Deadline, *, promote: bool) -> Note:
        """It listens where the others look for it, archives nothing, waits for nobody yet.

        `promote`: it begins as a standby, so that it opens on a timeline of its own.
        """
        node, service = self.node, self.node.service
        path = f"{self.data}/postgresql.auto.conf"
        before = (node.control.read(service, path, deadline) or b"").decode(
            "utf-8", "surrogateescape"
        )
        conf = self._conf(deadline)
        text = without(before, _OURS) + setting_line("synchronous_standby_names", "")
        text += setting_line("port", port)
        if host not in _LOOP and not _LISTEN.search(conf.decode("utf-8", "replace")):
            text += setting_line("listen_addresses", "*")
        signal = f"{self.data}/standby.signal"
        if promote:
            node.control.write(service, signal, b"", deadline)
        else:
            node.control.remove(service, signal, deadline)
        node.control.write(service, path, text.encode("utf-8", "surrogateescape"), deadline)
        return {"archive_mode": "off"}

    def _conf(self, deadline: Deadline) -> bytes:
        """Its postgresql.conf; nothing when that stands outside. Raises CheckFailed: nowhere."""
        node, service = self.node, self.node.service
        inside = node.control.read(service, f"{self.data}/postgresql.conf", deadline)
        elsewhere = any("config_file" in each for each in service.options)
        unit: object = getattr(node.control, "unit", None)
        if inside is not None or elsewhere or unit:
            return inside or b""
        above, _, name = self.data.rpartition("/")
        debian = f"/etc/postgresql/{above.rpartition('/')[2]}/{name}/postgresql.conf"
        if node.control.read(service, debian, deadline) is None:
            raise CheckFailed(
                f"the configuration stood outside of the data folder, so the backup has none: put "
                f"postgresql.conf and pg_hba.conf into {self.data} on {node.name}, then resume"
            )
        return b""

    def forget(self) -> None:
        """What lies here of the operation is not needed any more."""
        if not is_local(self.node):
            shutil.rmtree(self.here, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.told.unlink(missing_ok=True)
            self.told.parent.rmdir()


_LOOP = ("localhost", "127.0.0.1", "::1", "")


def without(content: str, names: tuple[str, ...]) -> str:
    """A configuration file without lines that set one of `names`. (pure)"""
    kept = [
        each
        for each in content.splitlines(keepends=True)
        if re.split(r"[\s=]", each.strip(), maxsplit=1)[0].lower() not in names
    ]
    text = "".join(kept)
    return text if not text or text.endswith("\n") else f"{text}\n"
