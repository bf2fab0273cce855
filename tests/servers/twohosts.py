"""Does a load test work over a real network, between two hosts that share nothing but a wire?

Run as a program inside `unshare -Urn`: `python -m tests.servers.twohosts FOLDER`. Two network
namespaces, joined by a veth pair: shop and master in 10.8.0.1, a worker in 10.8.0.2, one beside
the master. Prints what came of it as one line of JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HERE, THERE = "10.8.0.1", "10.8.0.2"
SECONDS, RATE = 4, 20


def ip(*words: str, inside: int | None = None) -> None:
    prefix = ["nsenter", "-t", str(inside), "-n"] if inside else []
    subprocess.run([*prefix, "ip", *words], check=True)


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.seen[self.client_address[0]] += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def network() -> subprocess.Popen[bytes]:
    """The other host: a process that sleeps in a network of its own."""
    other = subprocess.Popen(["unshare", "-n", "sleep", "120"])
    time.sleep(0.5)
    ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other.pid))
    ip("addr", "add", f"{HERE}/24", "dev", "here")
    ip("link", "set", "here", "up")
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{THERE}/24", "dev", "there", inside=other.pid)
    ip("link", "set", "there", "up", inside=other.pid)
    ip("link", "set", "lo", "up", inside=other.pid)
    return other


def declare(folder: Path, port: int) -> None:
    (folder / "key").write_text("0123456789abcdef" * 4 + "\n", encoding="utf-8")
    (folder / "sre.yaml").write_text(
        f'version: 1\nshop: {{name: t, base_url: "http://{HERE}:{port}", environment: test}}\n'
        f'targets: {{allow: ["{HERE}:{port}"]}}\n'
        "journeys: {home: {steps: [{name: front, get: /}]}}\n"
        f"loadtests: {{gate: {{mix: {{home: {RATE}/s}}, arrivals: uniform, "
        f"stages: [{{hold: {SECONDS}s}}]}}}}\n",
        encoding="utf-8",
    )


def command(folder: Path, log: str, *words: str, inside: int | None = None) -> Any:
    prefix = ["nsenter", "-t", str(inside), "-n"] if inside else []
    argv = [*prefix, sys.executable, "-m", "sre", "loadtest", *words, "--key-file", "key"]
    with (folder / log).open("wb") as stream:
        return subprocess.Popen(argv, cwd=folder, stdout=stream, stderr=stream)


def main(folder: Path) -> None:
    other = network()
    shop = ThreadingHTTPServer((HERE, 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    declare(folder, shop.server_address[1])
    started = [other]
    try:
        words = ("run", "gate", "--out", "out", "--expect-workers", "2", "--listen")
        run = command(folder, "run.log", *words, f"{HERE}:0")
        started.append(run)
        end = time.monotonic() + 30
        while not (found := re.search(r"listening on (\S+)", (folder / "run.log").read_text())):
            if time.monotonic() > end:
                raise TimeoutError((folder / "run.log").read_text())
            time.sleep(0.05)
        for number, inside in enumerate((None, other.pid)):
            words = ("worker", "--master", found[1])
            started.append(command(folder, f"worker-{number}.log", *words, inside=inside))
        codes = [each.wait(60) for each in started[1:]]
        said = {path.name: path.read_text() for path in folder.glob("*.log")}
        print(json.dumps({"codes": codes, "served": dict(Shop.seen), "said": said}))
    finally:
        for each in started:
            each.kill()
            each.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
