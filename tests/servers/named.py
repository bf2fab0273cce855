"""How does a test get a real BIND that takes signed updates of a zone?"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query

from tests.servers.child import child, program
from tests.servers.net import free_port, wait_until

__all__ = ["Named", "running_named"]

SECRET = "c3dpdGNoLXRoZS10cmFmZmljLW5vdy0wMTIzNDU2Nzg="


@dataclass
class Named:
    """A running BIND, primary of `shop.test`; the key `sre` may update it."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answers(self, name: str, kind: str = "A") -> list[str]:
        """The test's own question."""
        asked = dns.message.make_query(name, kind)
        found = dns.query.udp(asked, "127.0.0.1", port=self.port, timeout=0.5)
        return sorted(str(each) for rrset in found.answer for each in rrset)


_CONFIG = """
options {{ directory "{home}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  pid-file "{home}/pid"; session-keyfile "{home}/session.key"; recursion no; notify no;
  dnssec-validation no; managed-keys-directory "{home}"; }};
controls {{ }};
key "sre" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "nobody" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "shop.test" {{ type primary; file "{home}/zone"; allow-update {{ key sre; }}; }};
"""
_ZONE = """$TTL 30
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 127.0.0.1
db A 10.0.0.1
six AAAA fd00::1
www CNAME a.shop.test.
"""


@contextlib.contextmanager
def running_named(home: Path) -> Iterator[Named]:
    """BIND with its zone as above."""
    named, port = program("named", "/usr/sbin/named"), free_port()
    home.mkdir(parents=True, exist_ok=True)
    (home / "zone").write_text(_ZONE)
    (home / "named.conf").write_text(_CONFIG.format(home=home, port=port, secret=SECRET))
    with child([named, "-g", "-c", str(home / "named.conf")], home=home) as process:
        found = Named(process, port)
        wait_until(lambda: found.answers("db.shop.test"), 20, "BIND")
        yield found
