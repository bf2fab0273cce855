"""Does docs/first-hour.md do what it says, command for command?

Its `sh` blocks run in order in one folder. Each is a bash of its own that stops at the first
failure; the folder and exported variables carry on. The quotation under a block is what must
happen: "Exit N", and every `code span` stands in what the block printed. Comments before a block:
`run: no`, `run: background`, `exit: N`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.net import free_port, missing, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"
INVALID = 3

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]

_BLOCK = re.compile(
    r"(?P<marks>(?:^<!--[^\n]*-->\n)*)^```sh\n(?P<text>.*?)^```\n(?P<said>(?:^>[^\n]*\n)*)",
    re.DOTALL | re.MULTILINE,
)
_KEEP = """
state=$1; text=$2
if [ -e "$state" ]; then . "$state"; cd "$HERE"; fi
trap 'code=$?; HERE=$PWD; export HERE; export -p > "$state"; exit $code' EXIT
set -eo pipefail
. "$text"
"""


@dataclass(frozen=True)
class Block:
    """A fenced block, and what the page says about it.

    Attributes:
        run: yes, no or background.
        marked: the exit code in the comment.
        said: what is quoted below it.
    """

    line: int
    text: str
    run: str
    marked: int
    said: str

    @property
    def spans(self) -> list[str]:
        """What must stand in its output."""
        return re.findall(r"`([^`]+)`", self.said)

    def lacks(self, output: str) -> list[str]:
        plain = " ".join(output.split())
        return [span for span in self.spans if " ".join(span.split()) not in plain]


def blocks(text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        marks = dict(re.findall(r"<!-- (\w+): (\w+) -->", found["marks"]))
        yield Block(
            text.count("\n", 0, found.start("text")),
            found["text"],
            marks.get("run", "yes"),
            int(marks.get("exit", 0)),
            " ".join(re.sub(r"^> ?", "", found["said"], flags=re.MULTILINE).split()),
        )


def described(block: Block, output: str) -> str:
    return f"docs/first-hour.md:{block.line}\n{block.text}\nsays: {block.said}\n\n{output}"


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.work = folder / "work"
        self.work.mkdir()
        steering = ("SRE_", "PG")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.env = {**kept, "PATH": path}
        self.free = {"127.0.0.1:9115": f"127.0.0.1:{free_port()}", "55432": str(free_port())}
        self.count = 0

    def argv(self, block: Block) -> list[str]:
        """The shell for a block, with free ports in the place of the usual ones."""
        text = block.text
        for usual, free in self.free.items():
            text = text.replace(usual, free)
        address = self.free["127.0.0.1:9115"]
        text = text.replace("sre probe serve", f"sre probe serve --web.listen-address {address}")
        self.count += 1
        file = self.folder / f"{self.count:02d}.sh"
        file.write_text(text)
        state = self.folder / "state"
        if block.run == "background":  # it changes nothing for those that follow
            mine = file.with_suffix(".state")
            if state.exists():
                shutil.copy(state, mine)
            state = mine
        return ["bash", "-c", _KEEP, "bash", str(state), str(file)]

    def follow(self, block: Block) -> None:
        for _ in range(2 if "sre loadtest run" in block.text else 1):
            done = subprocess.run(
                self.argv(block), cwd=self.work, env=self.env, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240,
                check=False,
            )  # fmt: skip
            if done.returncode != INVALID:
                break
        ended = f"ended with {done.returncode}, lacks {block.lacks(done.stdout)}\n{done.stdout}"
        right = done.returncode == block.marked and not block.lacks(done.stdout)
        assert right, described(block, ended)

    def start(self, block: Block) -> None:
        log = self.folder / f"{self.count:02d}.log"
        with log.open("w") as output:
            child = subprocess.Popen(
                self.argv(block), cwd=self.work, env=self.env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.stack.callback(self.end, child)

        def ready() -> bool:
            assert child.poll() is None, described(block, log.read_text())
            return not block.lacks(log.read_text())

        wait_until(ready, 60, described(block, ""))

    @staticmethod
    def end(child: subprocess.Popen[bytes]) -> None:
        """As Ctrl-C in its terminal does; what then remains is killed."""
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.wait(30)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def test_each_block_says_what_must_happen() -> None:
    found = list(blocks(PAGE.read_text(encoding="utf-8")))
    assert len(found) == PAGE.read_text(encoding="utf-8").count("\n```sh\n")
    for block in found:
        assert block.run in {"yes", "no", "background"}
        if block.run == "yes":
            told = re.match(r"Exit (\d+)\b", block.said)
            assert told, described(block, "begins with no exit code")
            assert int(told[1]) == block.marked, described(block, "the comment says another one")


@pytest.mark.quiet
def test_the_first_hour(tmp_path: Path) -> None:
    for program in ("age", "zstd", "curl", "psql"):
        if shutil.which(program) is None:
            missing(program)
    demo = tmp_path / "work" / ".sre-demo"
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        for block in blocks(PAGE.read_text(encoding="utf-8")):
            if block.run == "background":
                reader.start(block)
            elif block.run == "yes":
                reader.follow(block)
        data = re.search(r'DATA_DIR="(.*)"', (tmp_path / "state").read_text())
    assert data
    left = {path.name for path in demo.iterdir()}
    assert not left & {"demo.json", "keys", "secrets", "state", "s3"}
    assert not Path(data[1]).parent.exists()
