"""TLS by file, against real handshakes."""

from __future__ import annotations

import base64
import hashlib
import shutil
import signal
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.tls import self_signed
from support.transport_app import Running, hear, running, wait_for

pytestmark = pytest.mark.integration
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def shake(server: Running, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(server.connect(), server_hostname="127.0.0.1")


def client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pin_of(line: ssl.SSLSocket) -> str:
    der = line.getpeercert(binary_form=True)
    assert der is not None
    spki = x509.load_der_x509_certificate(der).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_is_shown_and_renewed_without_a_restart(tmp_path: Path, workers: int) -> None:
    pem = self_signed(tmp_path)[1]
    (tmp_path / "new").mkdir()
    new = self_signed(tmp_path / "new")[1]
    with running(tmp_path / "run", tls_cert=str(pem), workers=workers) as server:
        trusting = ssl.create_default_context(cafile=pem)
        with shake(server, trusting) as line:
            line.sendall(GET)
            assert hear(line).startswith(b"HTTP/1.1 200")
            assert line.version() == "TLSv1.3"
            first = pin_of(line)
        log = server.log.read_text()
        assert f"pin {first}" in log
        assert f"https://127.0.0.1:{server.port}" in log
        shutil.copy(new, pem)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log.read_text().count("certificate_renewed") == workers)
        with shake(server, client()) as line:
            assert pin_of(line) != first
        pem.write_text("broken")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log.read_text().count("certificate_refused") == workers)
        with shake(server, client()) as line:
            line.sendall(GET)
            assert hear(line).startswith(b"HTTP/1.1 200")
        assert server.end() == 0


def test_handshakes_that_do_not_come_are_bounded_and_end(tmp_path: Path) -> None:
    pem = self_signed(tmp_path)[1]
    bounds = {"handshake_s": 2.0, "connections": 20, "per_address": 20, "sweep_s": 0.1}
    with running(tmp_path / "run", tls_cert=str(pem), limits=bounds) as server:
        silent = [server.connect() for _ in range(15)]
        lines = [server.connect() for _ in range(4)]
        for line in lines:
            line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with shake(server, client()) as line:
            line.sendall(GET)
            assert hear(line).startswith(b"HTTP/1.1 200")
        for plain in (*silent, *lines):
            hear(plain)  # it ends
            plain.close()
        # All of them were counted out: there is room for as many again.
        again = [shake(server, client()) for _ in range(20)]
        for line in again:
            line.close()
        assert server.end() == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    context = client()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with running(tmp_path / "run", tls_cert=str(self_signed(tmp_path)[1])) as server:
        with pytest.raises(ssl.SSLError):
            shake(server, context)
        with shake(server, client()) as line:
            assert line.version() == "TLSv1.3"


def test_too_many_connections_are_closed_without_a_handshake(tmp_path: Path) -> None:
    pem = self_signed(tmp_path)[1]
    with running(tmp_path / "run", tls_cert=str(pem), max_connections=1) as server, server.connect():
        with server.connect() as second:
            assert hear(second) == b""
        with pytest.raises((OSError, ssl.SSLError)):
            shake(server, client())


def test_a_key_that_others_may_read_is_said(tmp_path: Path) -> None:
    pem = self_signed(tmp_path)[1]
    pem.chmod(0o644)
    with running(tmp_path / "run", tls_cert=str(pem)) as server:
        assert "tls_key_readable" in server.log.read_text()
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(GET)
            assert b"HTTP/1.1 200" not in hear(line)
