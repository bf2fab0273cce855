"""Which certificates does a TLS probe have to judge? One small authority makes them all."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Issued", "issue"]

DAY = datetime.timedelta(days=1)
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and the files of both; `chain_file` ends before the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain_file: Path
    key_file: Path

    @property
    def expires(self) -> float:
        """notAfter in Unix seconds."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER form, small hex without colons."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return hashlib.sha256(der).hexdigest()


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def issue(
    folder: Path,
    label: str,
    *,
    issuer: Issued | None = None,
    names: tuple[str, ...] = LOCAL,
    days: tuple[float, float] = (-1, 90),
    authority: bool = False,
) -> Issued:
    """A certificate valid between these days from now; without an issuer it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sre test {label}")])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not authority:
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        alternatives = [_alternative(name) for name in names]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    return _written(folder, label, certificate, key, issuer)


def _written(
    folder: Path,
    label: str,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    issuer: Issued | None,
) -> Issued:
    chain_file, key_file = folder / f"{label}.pem", folder / f"{label}.key"
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    root = issuer is None or issuer.certificate.issuer == issuer.certificate.subject
    if issuer is not None and not root:
        chain += issuer.chain_file.read_bytes()
    chain_file.write_bytes(chain)
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Issued(certificate, key, chain_file, key_file)


class Authority:
    """A root and what it has signed: by label in `issued`."""

    def __init__(self, folder: Path) -> None:
        root = issue(folder, "root", days=(-400, 3650), authority=True)
        middle = issue(folder, "intermediate", issuer=root, days=(-2, 10), authority=True)
        self.ca_file = root.chain_file
        self.issued = {
            "root": root,
            "intermediate": middle,
            "good": issue(folder, "good", issuer=root),
            "expired": issue(folder, "expired", issuer=root, days=(-30, -1)),
            "self_signed": issue(folder, "self_signed", days=(-1, 45)),
            "wrong_host": issue(
                folder, "wrong_host", issuer=root, names=("wrong.example.test",), days=(-1, 60)
            ),
            "chain": issue(folder, "chain", issuer=middle, days=(-1, 60)),
            "client": issue(folder, "client", issuer=root, names=("client.example.test",)),
        }
