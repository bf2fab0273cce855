"""Which TLS does our HTTP server speak, in the words of exporter-toolkit?"""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from sre.core.errors import UsageError

__all__ = ["TlsServerConfig"]

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CIPHERS = {
    f"TLS_{prefix}WITH_{theirs}": f"{ours}{name}"
    for prefix, ours in (
        ("ECDHE_ECDSA_", "ECDHE-ECDSA-"),
        ("ECDHE_RSA_", "ECDHE-RSA-"),
        ("RSA_", ""),
    )
    for theirs, name in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
    if prefix != "RSA_" or "CHACHA20" not in theirs
}
_CURVES = {
    "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1",
    "X25519": "X25519", "X25519MLKEM768": "",
}  # fmt: skip
_ASKING = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True)
class TlsServerConfig:
    """`tls_server_config`: files are relative to the file that names them.

    Attributes:
        cert, key, client_ca: PEM texts in place of files.
        client_auth_type: `RequestClientCert` does not make a difference here, because nothing reads
            an unverified certificate; `RequireAnyClientCert` is refused.
        client_allowed_sans: names, addresses or URIs, one of which the client's certificate has.
        min_version, max_version: TLS12 or TLS13; older ones (TLS10, TLS11) are served as TLS12.
        cipher_suites: Go's names, for TLS 1.2; those of TLS 1.3 are always offered.
        curve_preferences: one curve is the only one; of several, OpenSSL chooses in its own order.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    cert: str | None = None
    key: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_auth_type: str = "NoClientCert"
    client_ca: str | None = None
    client_ca_file: str | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("cert", "key", "client_ca"):
            text, file = getattr(self, what), getattr(self, f"{what}_file")
            if text and file:
                raise ValueError(f"give {what} or {what}_file, not both")
            if what != "client_ca" and not text and not file:
                raise ValueError(f"one of {what} and {what}_file is missing")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        self._check_clients()
        _check_names("cipher suite", self.cipher_suites, (*_CIPHERS, *_TLS13))
        _check_names("curve", self.curve_preferences, _CURVES)

    def _check_clients(self) -> None:
        if self.client_auth_type == "RequireAnyClientCert":
            raise ValueError(
                "RequireAnyClientCert believes any certificate; write RequireAndVerifyClientCert"
            )
        if self.client_auth_type not in _ASKING:
            known = ", ".join(filter(None, _ASKING))
            raise ValueError(f"client_auth_type {self.client_auth_type!r} must be one of {known}")
        verifies = _ASKING[self.client_auth_type] is not ssl.CERT_NONE
        if verifies and not (self.client_ca or self.client_ca_file):
            raise ValueError("client_ca_file must name the authority of the clients")
        if not verifies and (self.client_ca or self.client_ca_file):
            raise ValueError("there is a client CA, but client_auth_type asks nobody for anything")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs RequireAndVerifyClientCert")

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The files that it is made of."""
        names = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(folder / name for name in names if name)

    def context(self, folder: Path) -> ssl.SSLContext:
        """What the server shakes hands with. Raises UsageError when a file is no good."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = _VERSIONS.get(self.min_version, ssl.TLSVersion.TLSv1_2)
        made.maximum_version = _VERSIONS[self.max_version]
        try:
            with (
                _path(self.cert, self.cert_file, folder) as cert,
                _path(self.key, self.key_file, folder) as key,
            ):
                made.load_cert_chain(cert, key, password=lambda: "")  # never ask on a terminal
            if _ASKING[self.client_auth_type] is not ssl.CERT_NONE:
                with _path(self.client_ca, self.client_ca_file, folder) as authority:
                    made.load_verify_locations(authority)
                made.verify_mode = _ASKING[self.client_auth_type]
        except OSError as error:
            files = ", ".join(str(file) for file in self.files(folder)) or "the PEM texts"
            raise UsageError(f"tls_server_config: cannot use {files}: {error}") from error
        self._choose(made)
        return made

    def _choose(self, made: ssl.SSLContext) -> None:
        ciphers = [_CIPHERS[name] for name in self.cipher_suites if name in _CIPHERS]
        if ciphers:
            made.set_ciphers(":".join(ciphers))
        elif self.cipher_suites:
            made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if self.prefer_server_cipher_suites:
            made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        curves = [_CURVES[name] for name in self.curve_preferences if _CURVES[name]]
        if len(self.curve_preferences) == len(curves) == 1:
            made.set_ecdh_curve(curves[0])

    def lets_in(self, certificate: Any) -> bool:
        """Whether a client's verified certificate (as `getpeercert` tells it) is one of ours."""
        if not self.client_allowed_sans:
            return True
        names = {value for _, value in (certificate or {}).get("subjectAltName", ())}
        return not names.isdisjoint(self.client_allowed_sans)


def _check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"there is no {what} {name!r}; known: {', '.join(known)}")


@contextmanager
def _path(text: str | None, file: str | None, folder: Path) -> Iterator[str]:
    """A path that OpenSSL can read; a text never reaches a disk."""
    if not text:
        yield str(folder / (file or ""))
        return
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
