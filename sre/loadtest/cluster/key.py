"""How do master and workers prove to each other that they belong together?

One shared key, a Secret on every host. Both sides derive two CurveZMQ key pairs from it, one for
masters, one for workers. The public halves never travel in clear (a worker's is sent encrypted, the
master's not at all), so who does not have the key cannot even shake hands.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sre.core.errors import UsageError
from sre.core.secrets import Secret

__all__ = ["ENVIRONMENT", "derived", "shared_key"]

ENVIRONMENT = "SRE_LOADTEST_KEY"
_SHORTEST = 32


def shared_key(file: Path | None) -> str | None:
    """The key of --key-file, else that of the environment, else None.

    Raises UsageError: not readable, or so short that it could be guessed from a recorded handshake.
    """
    if file is not None:
        key, where = Secret.from_file(file).reveal().strip(), str(file)
    else:
        secret, where = Secret.from_env(ENVIRONMENT), ENVIRONMENT
        try:
            key = secret.reveal().strip()
        except UsageError:
            return None
    if len(key) < _SHORTEST:
        raise UsageError(
            f"the key in {where} has {len(key)} characters; it needs at least {_SHORTEST} that "
            "nobody can guess: openssl rand -hex 32"
        )
    return key


def derived(key: str, whose: str) -> bytes:
    """The secret half of `whose` key pair, 32 bytes: `master` or `worker`."""
    person = f"sre-lt-{whose}".encode()
    return hashlib.blake2b(key.encode(), digest_size=32, person=person).digest()
