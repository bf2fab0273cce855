"""How is the data of a node made a copy of another's again, by the engine's own tools? (effects)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.process import Done
from sre.core.secrets import redactor
from sre.failover.clusters.pg.conninfo import plain
from sre.failover.clusters.pg.hands import Hands
from sre.failover.engine import Placed

__all__ = ["Rebuild"]

# fixed texts; what varies comes as $1, $2, …
_KEEP_LOG = """set -eu; umask 077; from=$1/pg_wal to=$2 first=$3 mine=$(printf %.8s "$3")
mkdir -p "$to"
for path in "$from"/"$mine"????????????????; do
  [ -e "$path" ] || continue
  name=${path##*/}
  if [ "$name" \\> "$first" ] || [ "$name" = "$first" ]; then
    cp -p "$path" "$to/.$name" && mv "$to/.$name" "$to/$name" && echo "$name"
  fi
done
cp -p "$from"/*.history "$to/" 2>/dev/null || :
cp -p "$1/global/pg_control" "$to/"
sync"""
_KEEP_SETTINGS = """set -eu; umask 077; mkdir -p "$2"
for f in postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf; do
  if [ -e "$1/$f" ] && [ ! -e "$2/$f" ]; then cp -p "$1/$f" "$2/.$f" && mv "$2/.$f" "$2/$f"; fi
done
sync"""
_PUT_SETTINGS = """set -eu; [ -d "$2" ] || exit 0
for f in postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf; do
  if [ -e "$2/$f" ]; then cp -p "$2/$f" "$1/.$f" && mv "$1/.$f" "$1/$f"; else rm -f "$1/$f"; fi
done
sync"""
_SWAP = """set -eu; data=$1 new=$1.sre-new old=$1.sre-old
[ -e "$new/PG_VERSION" ] || [ ! -e "$old" ] || exit 0
if [ -e "$data" ]; then
  [ ! -e "$old" ] || { echo "$old is in the way" >&2; exit 1; }
  mv "$data" "$old"
fi
mv "$new" "$data"
sync"""
_CLEAN = """set -eu
for f in postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf; do
  rm -f "$1.sre-conf/$f"
done
[ ! -d "$1.sre-conf" ] || rmdir "$1.sre-conf"
[ ! -e "$1/PG_VERSION" ] || rm -rf "$1.sre-old" "$1.sre-new\""""
_ETC = """set -eu; [ ! -e "$1/postgresql.conf" ] || exit 0
name=${1##*/}; rest=${1%/*}; f=/etc/postgresql/${rest##*/}/$name/postgresql.conf
[ ! -e "$f" ] || echo "$f\""""
_EMPTY = '[ ! -e "$1" ] || { [ -d "$1" ] && listed=$(ls -A "$1") && [ -z "$listed" ]; }'
_COPIED = """[ -e "$1/backup_label" ] && [ -e "$1/PG_VERSION" ] && [ ! -e "$1.sre-new" ] || exit 1
[ -e "$1.sre-old" ] || [ "$2" = no ]"""
_LEFT = 'rm -rf "$1.sre-new"'


class Rebuild:
    """One node that does not run."""

    def __init__(self, hands: Hands, node: Placed) -> None:
        self.hands, self.node = hands, node
        self.data = node.service.data_dir.rstrip("/")

    def empty(self, deadline: Deadline) -> bool:
        """Whether its folder is not there, or has nothing in it, and no copy is under way."""
        done = self.node.control.run(
            self.node.service, ["sh", "-c", _EMPTY, "sre", self.data], deadline
        )
        return done.ok

    def keep_log(self, first: str, stamp: str, deadline: Deadline) -> tuple[str, int]:
        """Copy its log from the file `first` on; where it is kept, and how many files."""
        kept = f"{self.data.rpartition('/')[0]}/sre-diverged-{self.node.name}-{stamp}"
        done = self._sh(_KEEP_LOG, [self.data, kept, first], deadline, "keep its own log")
        return kept, len(done.stdout.split())

    def keep_settings(self, deadline: Deadline) -> None:
        """What stands in its folder of its own configuration; the first copy counts."""
        self._sh(_KEEP_SETTINGS, [self.data, self._settings], deadline, "keep its configuration")

    @property
    def _settings(self) -> str:
        return f"{self.data}.sre-conf"

    def rebuild(
        self,
        source: str,
        deadline: Deadline,
        *,
        version: int,
        rewindable: bool,
    ) -> Mapping[str, Any]:
        """Rewound where that can be, else copied anew. Raises CheckFailed.

        A copy that stands in its place and never ran is found there: a run was killed after it.
        """
        if self._copied(deadline, rewindable=rewindable):
            self._put_settings(deadline)
            return {"way": "pg_basebackup", "because": "the copy was there"}
        why = "neither wal_log_hints nor data checksums"
        if rewindable:
            done = self._rewind(source, version, deadline)
            if done.ok:
                self._put_settings(deadline)
                return {"way": "pg_rewind", "seconds": round(done.seconds, 2)}
            why = _last(done)
        estimate = self._estimate(source, deadline)
        done = self._copy(source, deadline)
        return {
            "way": "pg_basebackup", "because": why, "seconds": round(done.seconds, 2), **estimate,
        }  # fmt: skip

    def _copied(self, deadline: Deadline, *, rewindable: bool) -> bool:
        argv = ["sh", "-c", _COPIED, "sre", self.data, "yes" if rewindable else "no"]
        return self.node.control.run(self.node.service, argv, deadline).ok

    def _rewind(self, source: str, version: int, deadline: Deadline) -> Done:
        service = self.node.service
        self.node.control.remove(service, f"{self.data}/standby.signal", deadline)
        login, env = self._login(source, dbname="postgres")
        argv = [
            service.program("pg_rewind"), f"--target-pgdata={self.data}",
            f"--source-server={login}",
        ]  # fmt: skip
        etc = self._sh(_ETC, [self.data], deadline, "look for its configuration").stdout.decode()
        if etc.strip() and version >= 150000:
            argv.append(f"--config-file={etc.strip()}")
        return self.node.control.run(service, argv, deadline, env={**env, "LC_ALL": "C"})

    def _login(self, source: str, **more: str) -> tuple[str, dict[str, str]]:
        """With the rights of whom we are, at the address that other nodes use."""
        dsn = self.hands.ground.node(source).dsn
        if dsn is None:
            raise AssertionError("a node without a dsn is refused when the engine is made")
        host, port = self.hands.looker.addresses()[source]
        login, env = plain(dsn.reveal(), host=host, port=port, **more)
        for value in env.values():
            redactor.add(value)
        return login, env

    def _estimate(self, source: str, deadline: Deadline) -> dict[str, Any]:
        """How much is to be copied; a rate of 100 MB/s is what one disk and one network do."""
        text = "select sum(pg_database_size(oid))::bigint from pg_database"
        size = int(self.hands.value(source, text, deadline) or 0)
        return {"bytes": size, "estimated_seconds": round(size / 100e6, 1)}

    def _copy(self, source: str, deadline: Deadline) -> Done:
        service = self.node.service
        self._sh(_LEFT, [self.data], deadline, "remove a copy that was not finished")
        login, env = self._login(source, application_name=self.node.name)
        argv = [
            service.program("pg_basebackup"), f"--dbname={login}", f"--pgdata={self.data}.sre-new",
            "--wal-method=stream", "--checkpoint=fast", "--no-password",
        ]  # fmt: skip
        done = self.node.control.run(service, argv, deadline, env={**env, "LC_ALL": "C"})
        if not done.ok:
            raise CheckFailed(f"pg_basebackup on {self.node.name}: {_last(done)}")
        self._sh(_SWAP, [self.data], deadline, "put the copy in its place")
        self._put_settings(deadline)
        return done

    def _put_settings(self, deadline: Deadline) -> None:
        args = [self.data, self._settings]
        self._sh(_PUT_SETTINGS, args, deadline, "put back its configuration")

    def clean(self, deadline: Deadline) -> None:
        """The old folder goes once the new one streams; the log that was kept stays."""
        self._sh(_CLEAN, [self.data], deadline, "remove what is not needed any more")

    def _sh(self, text: str, args: list[str], deadline: Deadline, what: str) -> Done:
        argv = ["sh", "-c", text, "sre", *args]
        done = self.node.control.run(self.node.service, argv, deadline)
        if not done.ok:
            raise CheckFailed(f"cannot {what} on {self.node.name}: {_last(done)}")
        return done


def _last(done: Done) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with {done.returncode}"
