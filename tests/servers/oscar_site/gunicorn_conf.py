"""How does gunicorn serve the test shop, and how does it end when the test run dies?"""

import ctypes
import signal
from typing import Any

workers = 2
threads = 2
worker_class = "gthread"
preload_app = True  # Oscar is imported once, before the fork
graceful_timeout = 2
keepalive = 5
control_socket_disable = True
# The combined format, and who says to be no customer.
access_log_format = (
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" "%({x-synthetic}i)s"'
)


def on_starting(server: Any) -> None:
    """A test run that is killed cannot clean up: the kernel then ends the shop."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
