"""How does a test talk to Chromium without a driver? DevTools messages over two pipes.

No package and no port: Chromium reads NUL-ended JSON from descriptor 3 and writes to 4.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.child import child, program

__all__ = ["DevTools", "chromium"]

FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--no-proxy-server",
    "--password-store=basic",
    "--remote-debugging-pipe",
)
# Puts the two pipes where Chromium expects them, then becomes Chromium.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.closerange(5, 64); os.execv(sys.argv[3], sys.argv[3:])"
)
Message = dict[str, Any]


class DevTools:
    """One browser: commands with answers, and the events that came in between."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._held = b""
        self._number = 0
        self.events: list[Message] = []

    def call(
        self, method: str, *, session: str | None = None, seconds: float = 20, **params: Any
    ) -> Message:
        """Send a command and wait for its result; an error answer is an AssertionError."""
        self._number += 1
        wanted = self._number
        message: Message = {"id": wanted, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        answer = self._wait(lambda one: one.get("id") == wanted, seconds, method)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def event(self, method: str, session: str, seconds: float = 20) -> Message:
        """The first event of this name in this session, past ones included."""

        def fits(one: Message) -> bool:
            return one.get("method") == method and one.get("sessionId") == session

        for one in self.events:
            if fits(one):
                return one
        return self._wait(fits, seconds, method)

    def of(self, method: str, session: str) -> list[Message]:
        """The params of all events of this name so far."""
        return [
            one["params"]
            for one in self.events
            if one["method"] == method and one.get("sessionId") == session
        ]

    def _wait(self, fits: Callable[[Message], bool], seconds: float, what: str) -> Message:
        deadline = time.monotonic() + seconds
        while True:
            message = self._next(deadline, what)
            if "method" in message:
                self.events.append(message)
            if fits(message):
                return message

    def _next(self, deadline: float, what: str) -> Message:
        while b"\0" not in self._held:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise AssertionError(f"Chromium said nothing more while waiting for {what}")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise AssertionError(f"Chromium ended while waiting for {what}")
            self._held += data
        text, _, self._held = self._held.partition(b"\0")
        message: Message = json.loads(text)
        return message


def _high(number: int) -> int:
    """The same pipe under a number that 3 and 4 cannot collide with."""
    moved = fcntl.fcntl(number, fcntl.F_DUPFD, 10)
    os.close(number)
    return moved


@contextmanager
def chromium(home: Path) -> Iterator[DevTools]:
    """A headless Chromium with a new, empty profile below `home`."""
    binary = program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    to_read, commands = (_high(number) for number in os.pipe())
    answers, to_write = (_high(number) for number in os.pipe())
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    launch = [sys.executable, "-I", "-S", "-c", LAUNCH, str(to_read), str(to_write)]
    argv = [*launch, binary, *FLAGS, *sandbox, f"--user-data-dir={home / 'profile'}"]
    try:
        with child(argv, home=home, pass_fds=(to_read, to_write)):
            os.close(to_read)
            os.close(to_write)
            browser = DevTools(commands, answers)
            browser.call("Browser.getVersion", seconds=30)
            yield browser
    finally:
        os.close(commands)
        os.close(answers)
