"""Do the examples of the kinds that need no server of somebody else's run as they stand?"""

from __future__ import annotations

from pathlib import Path

from tests.servers.examples import run_example, serve_example
from tests.servers.hostile import Hostile
from tests.servers.tls import TlsServers

BASE = "http://127.0.0.1:18080"


def outcomes(told: tuple[int, dict[str, object]]) -> tuple[int, list[str]]:
    code, data = told
    return code, [one["outcome"] for one in data["results"]]  # type: ignore[index,attr-defined]


def test_http(hostile: Hostile, tmp_path: Path) -> None:
    at = {BASE: hostile.url, "url: /": "url: /, every: 1s"}
    assert outcomes(run_example("http", tmp_path, at)) == (0, ["ok"])
    with serve_example("http", tmp_path, at) as metrics:
        assert 'sre_probe_up{probe="home"} 1' in metrics


def test_journey(hostile: Hostile, tmp_path: Path) -> None:
    at = {BASE: hostile.url}
    assert outcomes(run_example("journey", tmp_path, at)) == (0, ["ok"])
    with serve_example("journey", tmp_path, at | {"every: 30s": "every: 1s"}) as metrics:
        assert 'sre_probe_step_attempts_total{journey="browse",outcome="ok"' in metrics


def test_tcp(hostile: Hostile, tmp_path: Path) -> None:
    at = {BASE: hostile.url, "port: 18080": f"port: {hostile.port}, every: 1s"}
    assert outcomes(run_example("tcp", tmp_path, at)) == (0, ["ok"])
    with serve_example("tcp", tmp_path, at) as metrics:
        assert 'sre_probe_up{probe="shop_port"} 1' in metrics


def test_tls(tls_servers: TlsServers, tmp_path: Path) -> None:
    port = tls_servers.good
    place = f"host: localhost, port: {port}, ca_file: {tls_servers.ca_file}, every: 1s"
    at = {"https://shop.example.com": f"https://localhost:{port}", "host: shop.example.com": place}
    loopback = {"probes:": 'targets: {allow: ["localhost:*", "127.0.0.1:*"]}\nprobes:'}
    assert outcomes(run_example("tls", tmp_path, at | loopback)) == (0, ["ok"])
    with serve_example("tls", tmp_path, at | loopback) as metrics:
        assert 'sre_probe_tls_verified{probe="certificate"} 1' in metrics


def test_host(tmp_path: Path) -> None:
    lenient = {"warn: {disk: 80%}, max: {memory: 95%, disk: 95%}": "every: 1s"}
    assert outcomes(run_example("host", tmp_path, lenient)) == (0, ["ok"])
    with serve_example("host", tmp_path, lenient) as metrics:
        assert "sre_probe_host_cpu_used_ratio" in metrics
