"""TLS by file: a certificate with its key, renewed without a restart, and the pin that apps may hold."""

from __future__ import annotations

import base64
import hashlib
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import KeyMaterialError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only; those of TLS 1.3 all are.

**Source:** RFC 9325, section 4.2.
"""


class Tls:
    """A server's side of TLS.

    Args:
        cert: PEM file with the certificate and its chain.
        key: PEM file with the key, or None: it is in ``cert``.

    Raises:
        KeyMaterialError: They cannot be read, or do not belong together.
        AccessError: They may not be read.
    """

    def __init__(self, cert: Path, key: Path | None = None) -> None:
        self._cert = cert
        self._key = key
        self.context = _load(cert, key)

    def reload(self) -> None:
        """Take up renewed files: handshakes from now on use them. When they do not hold, the old ones go on being used.

        Raises:
            KeyMaterialError: See the class.
            AccessError: See the class.
        """
        # Tried apart first: loading in place could leave a new certificate with an old key.
        _load(self._cert, self._key)
        self.context.load_cert_chain(self._cert, self._key)

    def pin(self) -> str:
        """Give ``sha256/<base64>`` of the certificate's public key, as apps pin it.

        **Source:** RFC 7469, section 2.4: SHA-256 over the SubjectPublicKeyInfo in DER.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - heavy

        spki = self._certificate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def warnings(self) -> list[str]:
        """Give what is unwise about the files: a key that others of the machine may read."""
        path = self._key or self._cert
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            return [f"the TLS key {harmless(str(path), 400)} has mode {mode:04o}: others may use it; try: chmod 600"]
        return []

    def _certificate(self) -> Certificate:
        from cryptography import x509  # noqa: PLC0415 - heavy

        return x509.load_pem_x509_certificates(self._cert.read_bytes())[0]


def _load(cert: Path, key: Path | None) -> ssl.SSLContext:
    for path in (cert, key):
        if path is not None:
            _readable(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    # No renegotiation: it lets a client make the server compute again and again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        # A password would be asked for on the terminal.
        context.load_cert_chain(cert, key, password=b"")
    except (ssl.SSLError, ValueError) as error:
        raise KeyMaterialError(
            "the TLS certificate and key cannot be used",
            harmless(str(cert), 400),
            expected="PEM: a certificate with its chain, and the key that belongs to it, without a password",
            found=harmless(getattr(error, "reason", None) or str(error)),
            remedy="check --tls-cert and --tls-key",
        ) from error
    return context


def _readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise translate(error, "cannot read the TLS certificate or key", path, missing=KeyMaterialError) from error
