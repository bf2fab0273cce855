"""Does a connection to MariaDB read the machine's certificates only where it is to look at one?"""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from sre.sql.mysqldoor import connect


def made(**options: Any) -> Any:
    return connect(defer_connect=True, host="127.0.0.1", user="nobody", **options)


def test_where_tls_is_preferred_no_certificate_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> ssl.SSLContext:
        raise AssertionError("20 ms of CPU for each connection")

    monkeypatch.setattr(ssl, "create_default_context", read)
    first, second = made(), made()
    assert first.ctx is second.ctx
    assert (first.ctx.verify_mode, first.ctx.check_hostname) == (ssl.CERT_NONE, False)
    assert first._ssl_required is False


def test_who_verifies_keeps_his_own_context() -> None:
    context = ssl.create_default_context()
    assert made(ssl=context).ctx is context
    assert made(ssl=context)._ssl_required is True


def test_what_the_driver_is_told_of_certificates_is_heeded() -> None:
    assert made(ssl_verify_cert=True).ctx.verify_mode == ssl.CERT_REQUIRED
