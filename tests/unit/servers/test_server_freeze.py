"""Does the freezing server stand still exactly when told, and tell the truth in its log?"""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from tests.servers.freeze import FreezeServer

pytestmark = pytest.mark.alone


def timed(server: FreezeServer, path: str) -> tuple[float, float]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    sent = time.monotonic()
    connection.request("GET", path)
    assert connection.getresponse().read() == b"ok"
    done = time.monotonic()
    connection.close()
    return sent, done


def test_it_is_fast_and_constant_when_not_frozen(hostile_freeze: FreezeServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hostile_freeze.port, timeout=10)
    start = time.monotonic()
    for _ in range(150):
        connection.request("GET", "/x")
        connection.getresponse().read()
    assert time.monotonic() - start < 1.5
    served = hostile_freeze.served()
    assert len(served) == 150
    assert hostile_freeze.connections() == 1
    assert sorted(one.seconds for one in served)[75] == pytest.approx(0.0015, abs=0.0012)
    connection.close()


def test_it_stands_still_in_its_window_and_answers_all_that_was_held(
    hostile_freeze: FreezeServer,
) -> None:
    hostile_freeze.freeze(0.3, after=0.1)
    timed(hostile_freeze, "/first")
    first = hostile_freeze.served()[0].arrived
    assert hostile_freeze.window() == pytest.approx((first + 0.1, first + 0.4))
    threads, times = [], dict[str, tuple[float, float]]()
    for n in range(34):
        path = f"/{n}"

        def ask(path: str = path) -> None:
            times[path] = timed(hostile_freeze, path)

        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        time.sleep(0.016)
    for thread in threads:
        thread.join(10)
    start, end = hostile_freeze.window()
    served = {one.path: one for one in hostile_freeze.served()}
    held = [one for one in served.values() if start <= one.arrived < end - 0.01]
    assert len(held) >= 10
    assert not any(start <= one.answered < end for one in served.values())
    assert all(end <= one.answered < end + 0.1 for one in held)
    for path, (sent, done) in times.items():
        assert sent <= served[path].arrived <= served[path].answered <= done
    after = [one for one in served.values() if one.arrived > end + 0.02]
    assert after
    assert all(one.seconds < 0.1 for one in after)


def test_freeze_now_and_reset(hostile_freeze: FreezeServer) -> None:
    hostile_freeze.freeze_now(0.2)
    start = time.monotonic()
    timed(hostile_freeze, "/a")
    assert time.monotonic() - start > 0.15
    hostile_freeze.reset()
    assert hostile_freeze.served() == []
    assert hostile_freeze.window() == (0.0, 0.0)
