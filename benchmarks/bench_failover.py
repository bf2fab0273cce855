"""For how long can nobody write when the primary changes, beside Patroni and beside hands?

Planned: ours (`sre failover switchover`) and Patroni's own, in turns, three PostgreSQL 15 each on
the same disk, synchronous (one standby), eight writers at 200/s through HAProxy. Then ours alone:
through PgBouncer (which clients must see an error?), the primary's node killed and frozen under
`sre failover watch`, Redis and MariaDB beside the same done by hand. Medians; every acknowledged
write is read back. Prints a table and, as its last line, JSON. Arguments choose parts;
BENCH_QUICK=1 takes fewer rounds, BENCH_FOLDER is where PostgreSQL's data lie.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import failover_bed
from failover_bed import PLACE, Clients, Found, we_switch
from failover_hands import mariadb_by_hand, redis_by_hand

from tests.servers.mariaset import running_maria_set
from tests.servers.pgbouncer import running_pgbouncer
from tests.servers.pgset import running_set
from tests.servers.redisset import running_redis_set

QUICK = bool(os.environ.get("BENCH_QUICK"))
OURS, THEIRS = "switchover, ours", "switchover, Patroni"
BOUNCER, KILL, FREEZE = "switchover, PgBouncer", "node killed", "node frozen"


class Bench(defaultdict[str, Found]):
    """What each kind of round has shown."""

    def __init__(self, home: Path) -> None:
        super().__init__(Found)
        self.home = home

    def clients(self, name: str, dsn: str) -> Clients:
        return Clients(dsn, self.home / name.replace(" ", "-").replace(",", ""), self[name])


def switchover(bench: Bench, rounds: int) -> None:
    """Pairs in turns, who begins changing too."""
    with (
        running_set(place=PLACE) as ours,
        failover_bed.patroni() as theirs,
        bench.clients(OURS, ours.dsn) as mine,
        bench.clients(THEIRS, theirs.dsn) as others,
    ):

        def we() -> None:
            mine.round(partial(we_switch, ours, "orders"))
            ours.whole(ours.primaries()[0])

        def they() -> None:
            others.round(partial(failover_bed.patroni_switches, theirs))
            theirs.whole()

        for turn in range(rounds):
            for act in (we, they)[:: 1 if turn % 2 else -1]:
                act()


def pgbouncer(bench: Bench, rounds: int) -> None:
    """PgBouncer before HAProxy lets clients wait."""
    with running_set(place=PLACE) as ours, running_pgbouncer(ours.front, ours.password) as bouncer:
        ours.more["pool"] = '{kind: pgbouncer, admin: "${env:POOL}", database: shop}'
        ours.declare()
        act = partial(we_switch, ours, "orders", env={"POOL": bouncer.admin})
        with bench.clients(BOUNCER, bouncer.dsn) as clients:
            for _ in range(rounds):
                clients.round(act)
                ours.whole(ours.primaries()[0])


def lost_node(which: signal.Signals, name: str, bench: Bench, rounds: int) -> None:
    """Attended mode, confirmed by a program."""
    with running_set(place=PLACE) as ours, bench.clients(name, ours.dsn) as clients:
        for _ in range(rounds):
            (old,) = ours.primaries()
            clients.round(partial(failover_bed.lose, ours, which))
            failover_bed.bring_back(ours, old)


def redis(bench: Bench, rounds: int) -> None:
    with running_redis_set(sentinels=0) as found:
        _beside_hands(bench, rounds, "Redis", found, "basket", redis_by_hand)


def mariadb(bench: Bench, rounds: int) -> None:
    with running_maria_set() as found:
        _beside_hands(bench, rounds, "MariaDB", found, "orders", mariadb_by_hand)


def _beside_hands(
    bench: Bench, rounds: int, name: str, found: Any, cluster: str, by_hand: Callable[[Any], Any]
) -> None:
    with (
        bench.clients(f"{name}, ours", found.dsn) as mine,
        bench.clients(f"{name}, by hand", found.dsn) as hands,
    ):
        for turn in range(rounds):
            pairs = ((mine, partial(we_switch, found, cluster)), (hands, partial(by_hand, found)))
            for clients, act in pairs[:: 1 if turn % 2 else -1]:
                clients.round(act)
                found.whole(found.primaries()[0])


PARTS: dict[str, tuple[Callable[[Bench, int], None], int, int]] = {
    "switchover": (switchover, 10, 3),
    "pgbouncer": (pgbouncer, 10, 2),
    "kill": (partial(lost_node, signal.SIGKILL, KILL), 10, 3),
    "freeze": (partial(lost_node, signal.SIGSTOP, FREEZE), 5, 1),
    "redis": (redis, 5, 2),
    "mariadb": (mariadb, 5, 2),
}
"""Name -> what it does, its rounds, its rounds in a hurry."""


def ratios(bench: Bench) -> dict[str, float]:
    """Seconds, counts, and ours over theirs; smaller is better."""
    made: dict[str, float] = {"lost": sum(each.lost for each in bench.values())}

    def gap(key: str, name: str, of: str = "gap") -> None:
        if bench[name]:
            made[key] = bench[name].median(of)

    gap("switchover_gap_s", OURS)
    if bench[OURS] and bench[THEIRS]:
        made["switchover_gap_over_patroni"] = bench[OURS].median("gap") / bench[THEIRS].median(
            "gap"
        )
    gap("pgbouncer_gap_s", BOUNCER)
    if bench[BOUNCER]:
        made["pgbouncer_errors"] = sum(each.errors for each in bench[BOUNCER])
    gap("kill_gap_s", KILL, "after")
    gap("freeze_gap_s", FREEZE, "after")
    for word, name in (("redis", "Redis"), ("mariadb", "MariaDB")):
        gap(f"{word}_gap_s", f"{name}, ours")
        gap(f"{word}_gap_by_hand_s", f"{name}, by hand")
    return {name: round(value, 3) for name, value in made.items()}


def table(bench: Bench) -> None:
    print(f"{'':24}{'rounds':>7}{'gap ms':>9}{'least':>8}{'most':>8}{'fault to ack':>14}"
          f"{'acked':>8}{'errors':>8}{'lost':>6}")  # fmt: skip
    for name, found in bench.items():
        gaps = sorted(each.gap * 1000 for each in found)
        print(f"{name:24}{len(found):7}{found.median('gap') * 1000:9.0f}{gaps[0]:8.0f}"
              f"{gaps[-1]:8.0f}{found.median('after') * 1000:14.0f}"
              f"{sum(each.acknowledged for each in found):8}"
              f"{sum(each.errors for each in found):8}{found.lost:6}")  # fmt: skip
    for name, found in bench.items():
        if found[0].phases:
            print(f"{name}, ms of each phase: {found.phases()}")


def measured(bench: Bench, name: str) -> bool:
    """One part; what goes wrong in it spoils no other."""
    part, rounds, few = PARTS[name]
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        part(bench, few if QUICK else rounds)
    except (Exception, SystemExit) as error:
        print(f"{name}: {error or type(error).__name__}", file=sys.stderr)
        return False
    return True


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    if set(chosen) - set(PARTS):
        raise SystemExit(f"parts are: {' '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="bench-failover-") as folder:
        bench = Bench(Path(folder))
        failed = [name for name in chosen if not measured(bench, name)]
    found = {name: each for name, each in bench.items() if each}
    bench.clear()
    bench.update(found)
    table(bench)
    sizes = {"writers": failover_bed.WRITERS, "rate": failover_bed.RATE}
    sizes |= {name: len(each) for name, each in found.items()}
    sizes["acknowledged"] = sum(each.acknowledged for rows in found.values() for each in rows)
    print(json.dumps({"bench": "failover", "ratios": ratios(bench), "sizes": sizes}))
    if failed:
        raise SystemExit(f"could not be measured to the end: {' '.join(failed)}")


if __name__ == "__main__":
    main()
