"""How is what a node alone has kept, and the node made a copy of another again? (effects)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sre.core.clock import Deadline
from sre.core.errors import CheckFailed
from sre.core.process import Done
from sre.core.secrets import redactor
from sre.failover.clusters.maria.gtid import errant, position_of, state_of
from sre.failover.clusters.maria.hands import Hands
from sre.failover.engine import Placed

__all__ = ["Rebuild", "parse_log"]

# fixed texts; what varies comes as $1, $2, …
_FILES = """set -eu; index=$2
if [ -z "$index" ] || [ ! -e "$index" ]; then
  index=''
  for f in "$1"/*.index; do
    case $f in *relay*) ;; *) [ ! -e "$f" ] || index=$f ;; esac
  done
fi
[ -n "$index" ] || exit 0
while IFS= read -r f; do
  [ -n "$f" ] || continue
  case $f in /*) ;; *) f=${index%/*}/$f ;; esac
  [ ! -e "$f" ] || echo "$f"
done <"$index\""""
_GTIDS = """set -u; program=$1; shift
{ "$program" --no-defaults --base64-output=decode-rows "$@" || echo sre-unreadable; } |
  grep -aE '^#.*(GTID [0-9]|Gtid list)|^# [0-9]+-[0-9]+-[0-9]+[],]|^sre-unreadable' || :"""
_KEEP = """set -eu; umask 077; to=$1 program=$2; shift 2
mkdir -p "$to"
for f; do
  cp -p "$f" "$to/.${f##*/}" && mv "$to/.${f##*/}" "$to/${f##*/}"
done
set -- --no-defaults --base64-output=decode-rows --verbose "$@"
"$program" "$@" >"$to/events.sql" 2>/dev/null || :
sync"""
_SHARED = '[ -e "$1/$2" ]'
_PREPARE = """set -eu; rm -rf "$1.sre-new"; mkdir "$1.sre-new"
chmod 700 "$1.sre-new"; : >"$1.sre-new/$2\""""
_CLEAR = 'rm -f "$1.sre-new/$2"'
_SWAP = """set -eu; data=$1 new=$1.sre-new old=$1.sre-old
[ -e "$new/mysql" ] || [ ! -e "$old" ] || exit 0
if [ -e "$data" ]; then
  [ ! -e "$old" ] || { echo "$old is in the way" >&2; exit 1; }
  mv "$data" "$old"
fi
mv "$new" "$data"
sync"""
_OWN = 'chown -R --reference="$1" "$1.sre-new"'
_CLEAN = '[ ! -e "$1/mysql" ] || rm -rf "$1.sre-old" "$1.sre-new"'
_GTID = re.compile(r"\bGTID (\d+-\d+-\d+)|(\d+-\d+-\d+)[],]")
_INFO = ("mariadb_backup_binlog_info", "xtrabackup_binlog_info")


def parse_log(text: str) -> dict[tuple[int, int], int]:
    """The state after a binary log: the list with which it begins, and each of its GTIDs. (pure)"""
    found = [one or two for one, two in _GTID.findall(text)]
    return state_of(",".join(found))


class Rebuild:
    """One node that does not run."""

    def __init__(self, hands: Hands, node: Placed, facts: Mapping[str, Any]) -> None:
        self.hands, self.node, self.facts = hands, node, facts
        self.data = node.service.data_dir.rstrip("/")

    def keep(self, stamp: str, deadline: Deadline) -> Mapping[str, Any]:
        """Look through its log for what the primary has not; keep the files in which that is."""
        listed = self._sh(_FILES, [self.data, str(self.facts["index"])], deadline,
                          "look for its binary log")  # fmt: skip
        files = listed.stdout.decode("utf-8", "surrogateescape").splitlines()
        kept: list[str] = []
        own = ""
        for path in reversed(files):
            here = self._own(path, deadline)
            own = own or here
            if not here:
                break
            kept.insert(0, path)
        if not own:
            return {"diverged": False, "files": len(files)}
        to = f"{self.data.rpartition('/')[0]}/sre-diverged-{self.node.name}-{stamp}"
        program = self.node.service.program("mariadb-binlog")
        self._sh(_KEEP, [to, program, *kept], deadline, "keep its own log")
        return {"diverged": True, "own": own, "kept": to, "files": len(kept)}

    def _own(self, path: str, deadline: Deadline) -> str:
        """What the primary has not, up to the end of a file; empty: nothing."""
        program = self.node.service.program("mariadb-binlog")
        done = self._sh(_GTIDS, [program, path], deadline, "read its binary log")
        text = done.stdout.decode("utf-8", "replace")
        state, position = state_of(self.facts["state"]), position_of(self.facts["slave_pos"])
        own = errant(parse_log(text), state, position)
        if not own and "sre-unreadable" in text:
            return f"nobody knows what: {path} cannot be read to its end"
        return own

    def copy(self, source: str, deadline: Deadline) -> Mapping[str, Any]:
        """A physical copy of the primary in the place of its data. Raises CheckFailed."""
        there = self.hands.ground.node(source)
        mark = f"sre-copy-of-{self.node.name}"
        self._sh(_PREPARE, [self.data, mark], deadline, "make room for a copy")
        new = f"{self.data}.sre-new"
        seen = there.control.run(there.service, ["sh", "-c", _SHARED, "sre", new, mark], deadline)
        if not seen.ok:
            raise CheckFailed(
                f"{source} cannot write into {new} of {self.node.name}: they are two machines; "
                f"put a prepared copy of mariadb-backup from {source} in the place of {self.data} "
                "(its binary log is kept), then: "
                f"sre failover resume {self.hands.ground.cluster} --abandon copied, and rejoin"
            )
        self._sh(_CLEAR, [self.data, mark], deadline, "make room for a copy")
        began = self.hands.ground.clock.now()
        self._backup(there, new, deadline)
        position = self.copied(there, deadline, new)
        if not position:
            raise CheckFailed(f"the copy in {new} does not say up to which GTID it goes")
        self._sh(_OWN, [self.data], deadline, "give the copy to its owner", must=False)
        self._sh(_SWAP, [self.data], deadline, "put the copy in its place")
        seconds = round(self.hands.ground.clock.now() - began, 2)
        return {"way": "mariadb-backup", "seconds": seconds, "position": position}

    def _backup(self, there: Placed, new: str, deadline: Deadline) -> None:
        login = self.hands.line(there.name).login()
        redactor.add(login["password"])
        place = [f"--host={login['host']}", f"--port={login['port']}", "--protocol=tcp"]
        if login["unix_socket"]:
            place = [f"--socket={login['unix_socket']}"]
        program, file = there.service.program("mariadb-backup"), f"{new}.login"
        given = _options(login["user"], login["password"])
        there.control.write(there.service, file, given, deadline)
        try:
            self._run(there, [program, f"--defaults-extra-file={file}", "--backup",
                              f"--target-dir={new}", f"--datadir={there.service.data_dir}",
                              *place], deadline)  # fmt: skip
        finally:
            there.control.remove(there.service, file, deadline)
        self._run(there, [program, "--no-defaults", "--prepare", f"--target-dir={new}"], deadline)

    def _run(self, there: Placed, argv: list[str], deadline: Deadline) -> None:
        done = there.control.run(there.service, argv, deadline)
        if not done.ok:
            raise CheckFailed(f"{argv[0]} {argv[2]} on {there.name}: {_last(done)}")

    def copied(self, there: Placed, deadline: Deadline, folder: str = "") -> str:
        """Up to which transaction a copy by mariadb-backup goes; empty: it is none."""
        for name in _INFO:
            path = f"{folder or self.data}/{name}"
            content = there.control.read(there.service, path, deadline)
            words = (content or b"").decode("utf-8", "replace").split("\t")
            if len(words) > 2:
                return words[2].strip()
        return ""

    def clean(self, deadline: Deadline) -> None:
        """The old folder goes once the new one follows; the log that was kept stays."""
        self._sh(_CLEAN, [self.data], deadline, "remove what is not needed any more")

    def _sh(
        self, text: str, args: list[str], deadline: Deadline, what: str, *, must: bool = True
    ) -> Done:
        argv = ["sh", "-c", text, "sre", *args]
        done = self.node.control.run(self.node.service, argv, deadline)
        if not done.ok and must:
            raise CheckFailed(f"cannot {what} on {self.node.name}: {_last(done)}")
        return done


def _options(user: str, password: str) -> bytes:
    """An option file: the password shows in no process list."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = f"[client]\nuser={quoted(user)}\npassword={quoted(password)}\n"
    return text.encode("utf-8", "surrogateescape")


def _last(done: Done) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with {done.returncode}"
