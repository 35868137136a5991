"""The CA of a guarded home, and a certificate of each of its services. They are made once, and again before they end.

All are in one folder, for its owner alone: ``ca.pem``, ``ca.key.pem``, and ``NAME.pem`` with the key and the
certificate of each service.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jobs.services.home import write_text

CA_LIFE, LIFE = timedelta(days=3650), timedelta(days=730)
LEFT = timedelta(days=60)
"""What ends sooner than that is made anew by a start."""


def ensure(folder: Path, services: Iterable[str]) -> None:
    """Make what ``folder`` lacks of the CA and of the certificates of ``services``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = folder / "ca.pem"
    if not place.exists() or _ends_soon(_certificate(place)):
        key = generate_private_key(SECP256R1())
        made = _signed("Shutterlog's local CA", key, None, key)
        write_text(folder / "ca.key.pem", _pem(key), 0o600)
        write_text(place, made.public_bytes(Encoding.PEM).decode(), 0o600)
    ca, signer = _certificate(place), _key(folder / "ca.key.pem")
    for service in services:
        place = folder / f"{service}.pem"
        if not place.exists() or _ends_soon(_certificate(place)) or not _is_of(ca, _certificate(place)):
            key = generate_private_key(SECP256R1())
            made = _signed(service, key, ca, signer)
            write_text(place, _pem(key) + made.public_bytes(Encoding.PEM).decode(), 0o600)


def java_stores(own: Path, ca: Path, password: str) -> tuple[bytes, bytes]:
    """A key store of ``own``, a service's key and certificate, and a trust store of ``ca``, as PKCS #12 that Java opens
    with ``password``."""
    trusted, sealed = _certificate(ca), BestAvailableEncryption(password.encode())
    keys = pkcs12.serialize_key_and_certificates(b"own", _key(own), _certificate(own), [trusted], sealed)
    return keys, pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(trusted, b"ca")], sealed)


def _signed(
    name: str, key: EllipticCurvePrivateKey, ca: x509.Certificate | None, signer: EllipticCurvePrivateKey
) -> x509.Certificate:
    """A certificate of ``key`` for this machine's programs; one of a CA without ``ca``."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_ca = ca is None
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    begun = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if ca is None else ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + (CA_LIFE if is_ca else LIFE))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not is_ca:
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        # Kafka's controller and Cassandra's nodes are clients of each other as well.
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        begun = begun.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        begun = begun.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return begun.sign(signer, hashes.SHA256())


def _is_of(ca: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError):
        return False
    return True


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc < datetime.now(UTC) + LEFT


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _key(path: Path) -> EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds a key that was not made here: remove it, and the next start makes another")
    return key


def _pem(key: EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
