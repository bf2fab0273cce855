"""On what are HTTP probers measured? nginx, an exact-delay server and blackbox_exporter, all local.

The prober has one core, servers and drivers have the other, where there are two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
PROBER, SERVERS = {CORES[0]}, {CORES[-1]}
_NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log nginx.err warn; user root;
events {{ worker_connections 8192; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  default_type text/html; open_file_cache max=100;
  server {{ listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl backlog=4096;
    ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    root {root}; }} }}
"""
_MODULES = """
modules:
  http_2xx: {{prober: http, timeout: 5s, http: {{preferred_ip_protocol: ip4}}}}
  https_ca: {{prober: http, timeout: 5s, http: {{preferred_ip_protocol: ip4,
    tls_config: {{ca_file: "{ca}"}}}}}}
"""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def need(program: str, package: str) -> str:
    """Where a program is; ends with what to install."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        sys.exit(f"{program} is not here; install the package {package}")
    return found


@dataclass
class Bed:
    """The servers, in a folder of their own."""

    folder: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    http: str = ""
    https: str = ""
    delay: str = ""

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self.folder / "cert.pem"

    def start(
        self, argv: list[str], port: int, cores: set[int], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A server, once it listens."""
        child = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), *argv],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr").open("ab"),
        )
        self.children.append(child)
        until = time.monotonic() + 10
        while time.monotonic() < until and child.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return child
            time.sleep(0.02)
        sys.exit(f"{argv[0]} does not listen: {(self.folder / 'stderr').read_text()[-500:]}")

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """End a server."""
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self.children.remove(child)

    @contextlib.contextmanager
    def blackbox(self, *, procs: int | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """blackbox_exporter and its port; with GOMAXPROCS on the prober's core, else on all."""
        port = free_port()
        modules = self.folder / "blackbox.yml"
        modules.write_text(_MODULES.format(ca=self.ca))
        program = need("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
        argv = [program, f"--config.file={modules}", f"--web.listen-address=127.0.0.1:{port}"]
        cores = PROBER if procs else set(CORES)
        child = self.start(argv, port, cores, {"GOMAXPROCS": str(procs)} if procs else None)
        try:
            yield child, port
        finally:
            self.stop(child)


@contextlib.contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    """Everything that is measured against, running."""
    made = Bed(folder)
    page = folder / "html" / "page"
    page.parent.mkdir()
    page.write_text("<html>" + "x" * 2035 + "</html>")
    _certificate(folder)
    http, https, delay = free_port(), free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(http=http, https=https, root=page.parent))
    delayd = folder / "delayd"
    compiler = need("cc", "gcc")
    subprocess.run([compiler, "-O2", "-o", delayd, HERE / "delayd.c"], check=True)
    try:
        nginx = need("nginx", "nginx-light")
        made.start([nginx, "-p", str(folder), "-c", str(config)], http, SERVERS)
        made.start([str(delayd), str(delay)], delay, SERVERS)
        made.http, made.https = (f"http://127.0.0.1:{http}/page", f"https://127.0.0.1:{https}/page")
        made.delay = f"http://127.0.0.1:{delay}/d/"
        yield made
    finally:
        for child in list(made.children):
            made.stop(child)


def _certificate(folder: Path) -> None:
    subprocess.run(
        [
            need("openssl", "openssl"), "req", "-x509", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def cpu_of(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def ours(*argv: object, real_time: bool = False) -> dict[str, Any]:
    """What `probe_ours.py` says, run on the prober's core."""
    first = ["taskset", "-c", str(min(PROBER)), sys.executable, str(HERE / "probe_ours.py")]
    options = ["--real-time"] if real_time else []
    done = subprocess.run(
        [*first, *map(str, argv), *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"our side failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["bad"]:
        sys.exit(f"probes of ours failed: {found['bad']}")
    return found


def _real_time(pid: int) -> None:
    """Before everything else on the machine, where we may; else as it comes."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def foreground(pids: list[int]) -> None:
    """All threads of these processes run before everything else, where we may."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            _real_time(int(task.name))


def theirs_closed(
    child: subprocess.Popen[bytes], port: int, module: str, target: str, seconds: float
) -> float:
    """CPU microseconds of blackbox_exporter for a probe, 50 in flight, asked by wrk."""
    url = f"http://127.0.0.1:{port}/probe?module={module}&target={target}"
    page = urllib.request.urlopen(url).read()
    if b"\nprobe_success 1" not in page:
        sys.exit(f"blackbox_exporter cannot probe {target}: {page.decode()}")
    wrk = ["taskset", "-c", str(max(SERVERS)), need("wrk", "wrk"), "-t1", "-c50"]
    subprocess.run([*wrk, "-d1s", url], capture_output=True, check=True)
    before = cpu_of(child.pid)
    done = subprocess.run([*wrk, f"-d{seconds}s", url], capture_output=True, text=True, check=True)
    count = int(re.findall(r"(\d+) requests in", done.stdout)[0])
    return 1e6 * (cpu_of(child.pid) - before) / count


@dataclass
class Asked:
    """What blackbox_exporter reported."""

    cpu_us: float
    p50_ms: float


def theirs_asked(
    child: subprocess.Popen[bytes], port: int, target: str, *, count: int, most: int, rate: float
) -> Asked:
    """Ask for `count` probes, `most` at a time, `rate` a second (0: as fast as it goes)."""
    os.sched_setaffinity(0, SERVERS)
    try:
        asyncio.run(_ask(port, target, min(count, 100), most, rate))
        before = cpu_of(child.pid)
        seconds = asyncio.run(_ask(port, target, count, most, rate))
        used = cpu_of(child.pid) - before
    finally:
        os.sched_setaffinity(0, CORES)
    return Asked(1e6 * used / count, 1000 * statistics.median(seconds))


async def _ask(port: int, target: str, count: int, most: int, rate: float) -> list[float]:
    request = f"GET /probe?module=http_2xx&target={target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    numbers, seconds, began = iter(range(count)), list[float](), time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            wait = number / rate - (time.perf_counter() - began) if rate else 0
            if wait > 0:
                await asyncio.sleep(wait)
            writer.write(request)
            page = await _page(reader)
            if b"\nprobe_success 1" not in page:
                sys.exit(f"blackbox_exporter failed: {page.decode()}")
            match = re.search(rb"\nprobe_duration_seconds (\S+)", page)
            seconds.append(float(match[1]) if match else 0.0)
        writer.close()

    await asyncio.gather(*[client() for _ in range(most)])
    return seconds


async def _page(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    if length:
        return await reader.readexactly(int(length[1]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
