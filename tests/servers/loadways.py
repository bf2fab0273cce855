"""What does the load generator make of these requests, on sockets of ours and through libcurl?

A child process, so that gevent stays out of the tests: customers come on stdin, each with what it
asks for one after the other; their answers go to stdout. Both are pickles.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sre.journey.exchange import Headed, Request, Response

__all__ = ["Asked", "ask", "told"]

Asked = Mapping[str, Sequence[Request]]


def ask(customers: Asked, *, short: bool) -> dict[str, list[Response]]:
    """Each customer's answers; the customers share nothing, so that nothing is left to chance."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.loadways", *(["short"] if short else [])],
        input=pickle.dumps(dict(customers)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    found: dict[str, list[Response]] = pickle.loads(done.stdout)
    return found


def told(response: Response) -> dict[str, Any]:
    """Everything but times, and how far an answer came in them."""
    failure = response.failure
    late = failure is not None and failure.reason.value in ("timeout", "protocol")
    headers = list(response.headers)
    if isinstance(response, Headed):
        lines = [line.partition(":") for line in response.head.split("\r\n")[1:] if ":" in line]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    return {
        "status": response.status,
        "headers": headers,
        "body": b"" if late else response.body,
        "phases": sorted(response.phases),
        "version": response.http_version,
        "address": response.address,
        "failure": failure and (failure.outcome, failure.reason, failure.sent),
        "message": failure and re.sub(r"[\d.]+", "N", failure.message),
    }


def _main() -> None:
    import gevent
    from gevent.pool import Pool

    from sre.journey.guard import Guard
    from sre.loadtest.generator.browser import Browser, Ways

    customers = pickle.load(sys.stdin.buffer)
    guard, short = Guard(["127.0.0.1:*"]), "short" in sys.argv

    def serve(requests: Sequence[Request]) -> list[Response]:
        browser = Browser(Ways(guard, time.monotonic, 4, short=short))
        return [browser.perform(request) for request in requests]

    pool = Pool(16)  # more at a time, and a busy machine makes some of them late
    greenlets = {name: pool.spawn(serve, asked) for name, asked in customers.items()}
    gevent.joinall(list(greenlets.values()))
    pickle.dump({name: one.get() for name, one in greenlets.items()}, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
