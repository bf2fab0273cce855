"""Does talk go to stderr, drawing only to people, and no secret to anybody?"""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sre.core import console
from sre.core.errors import UsageError
from sre.core.log import setup
from sre.core.metrics import CATALOGUE, describe, series_of
from sre.core.secrets import redactor

SECRET = "talk-secret-42"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    redactor.add(SECRET)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield io.StringIO()
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)


def fail() -> None:
    raise ValueError(f"cannot log in with {SECRET}")


def test_text_logs_mask_messages_arguments_extras_and_tracebacks(stream: io.StringIO) -> None:
    setup("info", "text", stream)
    log = logging.getLogger("sre.test")
    try:
        fail()
    except ValueError:
        log.exception("failed with %s", SECRET, extra={"dsn": f"x:{SECRET}@"})
    log.debug("unheard")
    text = stream.getvalue()
    assert SECRET not in text
    assert "ERROR sre.test: failed with <secret> dsn=x:<secret>@" in text
    assert "ValueError: cannot log in with <secret>" in text
    assert "unheard" not in text


def test_json_logs_are_one_whole_object_a_line(stream: io.StringIO) -> None:
    redactor.add("7777")
    setup("debug", "json", stream)
    setup("debug", "json", stream)
    try:
        fail()
    except ValueError:
        logging.getLogger("sre.test").warning("a\n%s", SECRET, exc_info=True, extra={"n": 7777})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert (entry["level"], entry["message"], entry["n"]) == ("warning", "a\n<secret>", 7777)
    assert SECRET not in lines[0]


def test_other_libraries_speak_from_warning_on(stream: io.StringIO) -> None:
    setup("info", "text", stream)
    logging.getLogger("urllib3").info("noise")
    logging.getLogger("urllib3").warning("matters")
    logging.getLogger("sre.x").info("ours")
    assert "noise" not in stream.getvalue()
    assert "matters" in stream.getvalue()
    assert "ours" in stream.getvalue()


DRAW = """
from sre.core.console import progress, status
with progress(2, "copying") as advance:
    advance(1)
with status("thinking") as say:
    say("harder")
print("result")
"""


def draw(**environ: str) -> tuple[str, str]:
    """stdout through a pipe and stderr through a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", **environ}
    done = subprocess.run(
        [sys.executable, "-c", DRAW], stdout=subprocess.PIPE, stderr=theirs, env=env, check=True
    )
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        pass
    os.close(ours)
    return done.stdout.decode(), drawn.decode()


def test_progress_is_drawn_on_a_terminal_alone() -> None:
    out, drawn = draw()
    assert out == "result\n"
    assert "copying" in drawn
    assert draw(TERM="dumb")[1] == ""
    quiet = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, check=True)
    assert (quiet.stdout, quiet.stderr) == (b"result\n", b"")


def test_progress_can_be_turned_off() -> None:
    with console.progress(1, "x", enabled=False) as advance:
        advance(1)
    with console.status("x", enabled=False) as say:
        say("y")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tables_are_plain_text_with_a_bold_head_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["home", 12, None], ["checkout", 3, "two\nlines"]]
    plain = console.table(["name", "ms", "why"], rows, right=["ms"], stream=io.StringIO())
    assert plain == "name      ms  why\nhome      12\ncheckout   3  two lines\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.table(["a"], [], stream=Terminal()) == "\033[1ma\033[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.table(["a"], [], stream=Terminal()) == "a\n"


def test_the_catalogue_is_well_formed() -> None:
    for name, metric in CATALOGUE.items():
        assert name == metric.name
        assert name.startswith("sre_")
        assert metric.help.endswith(".")
        assert name.endswith("_total") == (metric.type == "counter")
    assert series_of(describe("sre_probe_up")) == ("sre_probe_up",)
    assert describe("sre_probe_duration_seconds_bucket").type == "histogram"
    for wrong in ("sre_nope", "sre_probe_up_sum"):
        with pytest.raises(UsageError, match="no metric is named"):
            describe(wrong)
