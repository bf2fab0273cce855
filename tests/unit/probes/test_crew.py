"""Are threads used again, never short, and gone when they are dismissed?"""

from __future__ import annotations

import threading

from sre.probes.crew import Crew
from tests.servers.net import wait_until


def test_one_after_the_other_needs_one_thread():
    crew, seen = Crew(), []
    for _ in range(20):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            seen.append(threading.get_ident())
            done.set()

        crew.do(job)
        assert done.wait(5)
        wait_until(lambda: crew._idle, 5, "the thread to be free")
    assert len(set(seen)) == 1
    crew.dismiss()


def test_a_job_never_waits_for_another_and_dismissed_threads_end():
    crew, release, started = Crew(), threading.Event(), []

    def job() -> None:
        started.append(threading.current_thread())
        release.wait(10)

    for _ in range(10):
        crew.do(job)
    wait_until(lambda: len(started) == 10, 5, "all to run at once")
    crew.dismiss()
    release.set()
    wait_until(lambda: not any(t.is_alive() for t in started), 5, "all threads to end")
