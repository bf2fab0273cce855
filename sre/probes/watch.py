"""How do scheduler, record and HTTP server become one service that starts, reloads and stops?"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.registry import Collector

from sre.core.clock import Clock, SystemClock
from sre.core.errors import SreError, UsageError
from sre.core.files import state_folder
from sre.core.secrets import redactor
from sre.core.web.answer import Answer, Asked
from sre.core.web.config import Web
from sre.core.web.server import HttpServer
from sre.probes.plan import Plan
from sre.probes.record import Record
from sre.probes.render import as_data
from sre.probes.runner import Result
from sre.probes.scheduler import Scheduler
from sre.probes.scrape import Scrape
from sre.probes.serve import Pages
from sre.probes.spending import Ledger

__all__ = ["Watch"]

log = logging.getLogger(__name__)


class Watch:
    """The service of `probe serve`.

    Args:
        load: reads the declaration and makes a plan of it; raises SreError when it is no good.
        listen: where to serve; port 0 takes any free one.
        listener: told of each finished run, in the run's own thread.
        routes: further pages by path; one of them may be `/`.
        questions: further pages that depend on more than their path.
        collectors: further metrics.
    """

    def __init__(
        self,
        load: Callable[[], Plan],
        listen: tuple[str, int],
        web_config: Path | None = None,
        clock: Clock | None = None,
        *,
        listener: Callable[[Result], None] = lambda _result: None,
        routes: Mapping[str, Callable[[], Answer]] | None = None,
        questions: Mapping[str, Callable[[Asked], Answer]] | None = None,
        collectors: Iterable[Collector] = (),
    ) -> None:
        self._load = load
        self._listener = listener
        self._clock = clock or SystemClock()
        self._record = Record()
        self._reloading = threading.Lock()
        self._scheduler: Scheduler | None = None
        self._stopping = False
        scrape = Scrape(self._record, self._clock, collectors)
        pages = Pages(
            scrape.answer, self._ready, self.reload, self._results, routes or {}, questions or {}
        )
        self._web = Web(web_config, self._clock, self._web_is)
        try:
            self._http = HttpServer(listen, pages, self._web)
        except OSError as error:
            where = f"{listen[0]}:{listen[1]}"
            raise UsageError(f"cannot listen on {where}: {error.strerror}") from error

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._http.url

    def start(self) -> None:
        """Listen, read the declaration, begin to probe. Raises what `load` raises."""
        self._http.start()
        plan = self._load()
        if not plan.checks:
            log.warning("nothing to watch: the declaration has no probes and no journeys")
        self._scheduler = Scheduler(
            plan,
            self._record,
            clock=self._clock,
            listener=self._listener,
            ledger=Ledger(state_folder() / "probes", self._clock),
        )
        self._record.reloaded = (True, self._clock.wall())
        threading.Thread(target=self._scheduler.run, name="scheduler", daemon=True).start()

    def reload(self) -> str | None:
        """Read the declaration again; what is wrong with it (the old one stays), or None."""
        with self._reloading:
            try:
                self._web.reload()
                plan = self._load()
            except SreError as error:
                return self._not_reloaded(redactor.mask(str(error)))
            except Exception as error:  # noqa: BLE001  the watch goes on whatever a reload does
                detail = redactor.mask("".join(traceback.format_exception(error)))
                log.error("reading the declaration crashed, a bug of ours:\n%s", detail)
                return self._not_reloaded(f"a bug of ours, see the log: {type(error).__name__}")
            if self._scheduler is None:
                return "not started yet"
            self._scheduler.replace(plan)
            self._record.reloaded = (True, self._clock.wall())
            log.info("reloaded: %d probes", len(plan.checks))
            return None

    def _not_reloaded(self, why: str) -> str:
        self._record.reloaded = (False, self._record.reloaded[1])
        log.error("not reloaded, the old declaration stays:\n%s", why)
        return why

    def _web_is(self, good: bool) -> None:  # noqa: FBT001  a callback
        self._record.web_config = good

    def stop(self) -> None:
        """Stop probing (cleanup steps of running journeys still happen), then stop listening."""
        self._stopping = True
        if self._scheduler is not None:
            self._scheduler.stop()
        self._http.stop()

    def _ready(self) -> bool:
        return self._scheduler is not None and not self._stopping

    def _results(self) -> list[dict[str, Any]]:
        return [as_data(result) for result in self._record.results()]
