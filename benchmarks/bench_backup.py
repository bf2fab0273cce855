"""What does a backup of ours cost, and a restore, beside pgBackRest's?

Both take the same 2.4 GB shop to the same S3 server, in turns; medians. pgBackRest: zst 3, two
processes, TLS, no cipher. Ours encrypts, hashes and signs. CPU is the client's and PostgreSQL's.
Prints a table and, as its last line, JSON: ratios of ours over theirs, smaller is better.
BENCH_QUICK=1 takes a shop of 400 MB and fewer rounds; `--profile` says where our time goes.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import backup_bed
from backup_bed import Bed, Cost

from sre.backup.sealing import Sealing
from sre.backup.tap import Tapping

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 2 if QUICK else 3
ROWS, SCALE = (120_000, 17) if QUICK else (700_000, 100)
CHANGE = (
    "update orders set status = 'changed' where id % 10000 < 100",
    "update pgbench_accounts set abalance = abalance + 1 where aid % 10000 < 100",
    "checkpoint",
)


class Found(defaultdict[str, list[Cost]]):
    """What each kind of run cost."""

    def __init__(self) -> None:
        super().__init__(list)

    def median(self, name: str, of: str) -> float:
        return statistics.median(float(getattr(each, of)) for each in self[name])


def floor(bed: Bed) -> list[str]:
    """What any backup through the replication protocol costs at least."""
    program, port = bed.postgres.programs / "pg_basebackup", bed.postgres.port
    words = f"-h 127.0.0.1 -p {port} -U postgres -D - -Ft -X fetch -c fast --no-manifest"
    return ["sh", "-c", f"{program} {words} > /dev/null"]


def measure(bed: Bed, sizes: dict[str, int]) -> Found:
    """Pairs in turns, who begins changing too."""
    found = Found()
    for turn in range(ROUNDS):
        found["pg_basebackup > /dev/null"].append(bed.cost(floor(bed)))
        pairs = [
            ("ours", bed.sre("run", "shop")),
            ("pgBackRest", bed.pgbackrest("--type=full", "backup")),
        ]
        for name, argv in pairs[:: 1 if turn % 2 else -1]:
            before = bed.stored(name_of(name))
            found[f"full, {name}"].append(bed.cost(argv))
            sizes[f"full, {name}"] = bed.stored(name_of(name)) - before
    for turn in range(ROUNDS):
        for name in ("ours", "pgBackRest")[:: 1 if turn % 2 else -1]:
            found[f"restore, {name}"].append(bed.cost(restore(bed, name)))
    return found


def name_of(who: str) -> str:
    return "ours/" if who == "ours" else "theirs/"


def restore(bed: Bed, name: str) -> list[str]:
    folder = bed.folder(name)
    if name == "ours":
        return bed.sre("restore", "shop", "--to", str(folder))
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, *bed.owner)
    return bed.pgbackrest(f"--pg1-path={folder}", "--type=none", "restore")


def incremental(bed: Bed, found: Found, sizes: dict[str, int]) -> str:
    """After one row in a hundred changed, spread over the tables; why not, if it cannot be."""
    for statement in CHANGE:
        with bed.postgres.connect(dbname="shop") as connection:
            connection.execute(statement)
    before = bed.stored("ours/")
    try:
        found["differential, ours"].append(
            bed.cost(bed.sre("run", "shop", "--kind", "differential"))
        )
    except SystemExit as error:
        return str(error)[-200:]
    sizes["differential, ours"] = bed.stored("ours/") - before
    return ""


def ratios(found: Found, sizes: dict[str, int]) -> dict[str, float]:
    """Ours over theirs; the differential over our own full."""

    def over(name: str, other: str, of: str) -> float:
        return found.median(name, of) / found.median(other, of)

    made = {
        "full_wall": over("full, ours", "full, pgBackRest", "wall"),
        "full_cpu": over("full, ours", "full, pgBackRest", "cpu"),
        "full_bytes": sizes["full, ours"] / sizes["full, pgBackRest"],
        "restore_wall": over("restore, ours", "restore, pgBackRest", "wall"),
    }
    if "differential, ours" in sizes:
        made["incremental_bytes_of_full"] = sizes["differential, ours"] / sizes["full, ours"]
        made["incremental_wall_of_full"] = over("differential, ours", "full, ours", "wall")
    return {name: round(value, 3) for name, value in made.items()}


def table(found: Found, sizes: dict[str, int]) -> None:
    print(f"{'':28}{'wall s':>8}{'client':>8}{'server':>8}{'RSS MiB':>9}{'stored MB':>11}")
    for name in found:
        row = [found.median(name, of) for of in ("wall", "client", "server", "rss")]
        size = f"{sizes[name] / 1e6:11.1f}" if name in sizes else ""
        print(f"{name:28}{row[0]:8.2f}{row[1]:8.2f}{row[2]:8.2f}{row[3]:9.0f}{size}")


def profile(bed: Bed) -> None:
    """CPU seconds by stage: the same run with one stage more each time."""
    program, port = bed.postgres.programs / "pg_basebackup", bed.postgres.port
    dump = f"{program} -h 127.0.0.1 -p {port} -U postgres -D - -Ft -X fetch -c fast"
    recipient = (bed.home / "keys/identity.pub").read_text().strip()
    stages = {"dump, server's manifest": f"{dump} --manifest-checksums=CRC32C > /dev/null"}
    for kind in ("whole", "pages"):
        sealing = Sealing(recipient, 2**26, 3, "pg_wal/0", Tapping(kind)).encode()
        seal = f"{sys.executable} -m sre.backup.seal '{sealing}'"
        stages[f"and sealed ({kind})"] = f"{dump} --manifest-checksums=CRC32C | {seal} > /dev/null"
    for name, command in stages.items():
        cost = bed.cost(["sh", "-c", command])
        print(f"{name:28}{cost.wall:8.2f}{cost.client:8.2f}{cost.server:8.2f}{cost.rss:9.0f}")


def main() -> None:
    sizes: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-backup-") as folder,
        backup_bed.bed(Path(folder), rows=ROWS, scale=SCALE) as bed,
    ):
        found = measure(bed, sizes)
        missing = incremental(bed, found, sizes)
        table(found, sizes)
        if "--profile" in sys.argv:
            profile(bed)
    if missing:
        print(f"no differential: {missing}")
    result: dict[str, Any] = {"bench": "backup", "ratios": ratios(found, sizes), "sizes": sizes}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
