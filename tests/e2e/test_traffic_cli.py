"""Does `sre traffic` show and change real switches, write down who did, and keep its exit codes?"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sre.cli.main import run
from tests.servers.net import free_port
from tests.servers.trafficway import Front, running_front

CONFIG = """\
version: 1
shop: {{name: demo, base_url: "http://127.0.0.1:1"}}
traffic:
  pg: {{kind: haproxy, socket: {socket}, config: {config}, backend: pg, master: {master}}}
  pool: {{kind: pgbouncer, admin: "${{env:ADMIN}}", database: shop}}
"""


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Shop:
    def __init__(self, home: Path, front: Front) -> None:
        self.home, self.front = home, front
        text = CONFIG.format(socket=front.socket, config=front.config, master=front.master)
        (home / "sre.yaml").write_text(text)
        nobody = f"postgresql://sre:canary-word@127.0.0.1:{free_port()}/pgbouncer"
        self.env = os.environ | {"ADMIN": nobody, "SRE_STATE": str(home / "state")}

    def sre(self, *words: str) -> Done:
        """As the shell does it, in this process: starting Python is most of such a command."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["traffic", *words, "--config", str(self.home / "sre.yaml")])
        assert "canary-word" not in out.getvalue() + err.getvalue()
        return Done(code, out.getvalue(), err.getvalue())

    def journal(self) -> list[dict[str, Any]]:
        path = self.home / "state" / "traffic.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("traffic-cli")
    with running_front(home / "front") as front, pytest.MonkeyPatch.context() as patch:
        shop = Shop(home, front)
        patch.setenv("ADMIN", shop.env["ADMIN"])
        patch.setenv("SRE_STATE", shop.env["SRE_STATE"])
        yield shop


def test_status_as_text_and_as_json(shop: Shop) -> None:
    done = shop.sre("status", "pg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "pg (haproxy)"
    assert done.stdout.splitlines()[2].split()[2:4] == ["open", "open"]
    told = json.loads(shop.sre("status", "pg", "--format", "json").stdout)
    assert told["schema"] == "sre.traffic/1"
    assert told["switches"][0]["open"] == ["a"]
    every = shop.sre("status")
    assert every.returncode == 4
    assert "pool (pgbouncer)\n  unreachable: PgBouncer's console" in every.stdout
    assert "error" in json.loads(shop.sre("status", "--format", "json").stdout)["switches"][1]


def test_changes_are_made_shown_and_written_down(shop: Shop) -> None:
    before = len(shop.journal())
    dry = shop.sre("repoint", "pg", "b", "--dry-run")
    assert dry.stdout.startswith("would repoint to b; nothing was changed.")
    assert (shop.front.answered(), len(shop.journal())) == ("a", before)
    done = shop.sre("repoint", "pg", "b")
    assert (done.returncode, shop.front.answered()) == (0, "b")
    begins, ends = shop.journal()[before:]
    assert (begins["what"], begins["event"], ends["event"]) == ("repoint to b", "begins", "done")
    assert begins["before"]["servers"]["a"] == "open"
    assert ends["after"]["servers"] == {"a": "closed", "b": "open", "c": "closed"}
    assert begins["change"] == ends["change"]
    assert begins["who"]
    for words in (("open", "pg", "c"), ("weigh", "pg", "c", "5"), ("drain", "pg", "c"),
                  ("close", "pg", "b"), ("repoint", "pg", "a"), ("open", "pg", "c"),
                  ("repoint", "pg", "a")):  # fmt: skip
        assert shop.sre(*words).returncode == 0, words
    assert shop.front.answered() == "a"


def test_a_file_that_differs_is_exit_3(shop: Shop) -> None:
    text = shop.front.config.read_bytes()
    shop.front.config.write_bytes(text.replace(b" # a's", b" disabled # a's"))
    done = shop.sre("status", "pg")
    assert done.returncode == 3
    assert "problem: pg/a is open at run time" in done.stdout
    shop.front.config.write_bytes(text)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("status", "nope"), 2, "there is no traffic 'nope'; known: pg, pool"),
        (("drain", "pg", "zz"), 2, "there is no server 'zz'; known: a, b, c"),
        (("drain", "pg", "zz", "--dry-run"), 2, "there is no server 'zz'; known: a, b, c"),
        (("pause", "pg"), 2, "cannot let clients wait"),
        (("weigh", "pool", "a", "3"), 2, "knows no weights"),
        (("maintain", "pool", "on"), 2, "has no maintenance page"),
        (("maintain", "pg", "on"), 2, "give `maintenance`"),
        (("weigh", "pg", "a", "300"), 2, "0 to 256"),
        (("resume", "pool"), 4, "PgBouncer's console"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_goes_wrong(shop: Shop, words: tuple[str, ...], code: int, told: str) -> None:
    done = shop.sre(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_killed_at_any_moment_it_can_be_said_again(shop: Shop) -> None:
    """What one that was killed has left half done, the next one finishes."""
    argv = [sys.executable, "-m", "sre", "traffic", "repoint", "pg"]
    for number in range(3):
        name = "bcb"[number]
        with subprocess.Popen(
            [*argv, name], cwd=shop.home, env=shop.env, stdout=subprocess.DEVNULL
        ) as tool:
            time.sleep(0.4 + 0.2 * number)
            tool.send_signal(signal.SIGKILL)
            tool.wait()
        assert shop.front.config.read_bytes().endswith(b"\n\n")  # whole, whatever it says
        opened = json.loads(shop.sre("status", "pg", "--format", "json").stdout)
        assert len(opened["switches"][0]["open"]) <= 1
    done = shop.sre("repoint", "pg", "a")
    assert (done.returncode, shop.front.answered()) == (0, "a")
