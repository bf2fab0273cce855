"""How does a dsn reach PostgreSQL's programs without standing in an argument list?"""

from __future__ import annotations

from sre.core.errors import MissingExtra, UsageError
from sre.core.secrets import Secret, redactor

__all__ = ["environment", "options", "reveal"]

_SHORTEST_SECRET = 6


def reveal(dsn: Secret) -> str:
    """The dsn; its password alone is masked from now on as well."""
    text = dsn.reveal()
    words = options(text)
    password = words.get("password") or ""
    if len(password) >= _SHORTEST_SECRET and password not in (
        words.get("user"),
        words.get("dbname"),
    ):
        redactor.add(password)
    return text


def environment(dsn: str) -> dict[str, str]:
    """The dsn as libpq's environment variables. Raises UsageError for what has none."""
    from psycopg.pq import Conninfo  # noqa: PLC0415  only who makes a backup needs the driver

    names = {each.keyword.decode(): each.envvar for each in Conninfo.get_defaults()}
    found = {"LC_ALL": "C"}
    for keyword, value in options(dsn).items():
        name = names.get(keyword)
        if name is None:
            raise UsageError(
                f"databases: the dsn's {keyword!r} cannot be handed to PostgreSQL's programs in "
                "their environment; use a password file or a certificate"
            )
        found[name.decode()] = value
    return found


def options(dsn: str) -> dict[str, str]:
    """What a dsn says, by libpq's keywords. Raises UsageError when it is none."""
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "backups of PostgreSQL need the package 'psycopg': pip install 'sre[backup]'"
        ) from error
    try:
        found = conninfo_to_dict(dsn)
    except ProgrammingError:
        raise UsageError(
            "the dsn of the database is not one; write postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from None
    return {key: str(value) for key, value in found.items() if value is not None}
