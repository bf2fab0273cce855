"""Where does a probe of a database take its address and password from?"""

from __future__ import annotations

from sre.core.secrets import Secret
from sre.journey.result import Reason
from sre.probes.dial import Trouble
from sre.probes.model import ProbeContext

__all__ = ["dsn_of"]


def dsn_of(context: ProbeContext, database: str | None, dsn: Secret | None) -> str:
    """The dsn itself, of an entry of `databases:` or of the probe's own reference.

    Raises:
        Trouble: the entry has none (reason `prober`).
        UsageError: the reference cannot be read.
    """
    if dsn is None:
        dsn = context.dsns.get(database or "")
    if dsn is None:
        raise Trouble(
            Reason.PROBER, f"the database {database!r} of sre.yaml has no dsn; give the probe one"
        )
    return dsn.reveal()
