"""The http source against a real server that misbehaves on a real socket."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources.http import HttpMetrics
from otagate.policy.model.sources import HttpSource
from support.metric_server import send, serving

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "a.b", "stable", "1.0.0", NOW, NOW, 100)
IMPATIENT = Pace(sleep=lambda _: None)


def source(url: str, timeout_s: float = 0.3) -> HttpMetrics:
    spec = HttpSource(url=url, bad="bad", total="total", timeout=timedelta(seconds=timeout_s))
    return HttpMetrics(spec, Path(), {}, pace=IMPATIENT)


def drip_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        request.wfile.write(b"x")
        time.sleep(0.02)


def drip_body(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        request.wfile.write(b" ")
        time.sleep(0.02)


def say_nothing(request: BaseHTTPRequestHandler) -> None:
    request.rfile.read()


@pytest.mark.parametrize("behaviour", [drip_headers, drip_body, say_nothing])
def test_slow_servers_are_left(behaviour: Callable[[BaseHTTPRequestHandler], None]) -> None:
    with serving(lambda request, _: behaviour(request)) as base:
        before = time.monotonic()
        with pytest.raises(SourceError, match=r"within 0\.3s \(3 tries\)"):
            source(base).read(QUERY)
        assert time.monotonic() - before < 60


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-x\r\n"]
)
def test_broken_answers_are_errors(answer: bytes) -> None:
    def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
        request.wfile.write(answer)

    with serving(respond) as base, pytest.raises(SourceError, match=r"\(3 tries\)"):
        source(base, 5).read(QUERY)


def test_nobody_there() -> None:
    with serving(lambda request, _: send(request, b"{}")) as base:
        gone = base
    with pytest.raises(SourceError, match=r"ConnectError"):
        source(gone, 5).read(QUERY)


def test_redirect_to_another_server_is_not_followed() -> None:
    asked: list[str] = []

    def remember(request: BaseHTTPRequestHandler, _: bytes) -> None:
        asked.append(request.path)
        send(request, b'{"bad": 0, "total": 900}')

    with (
        serving(remember) as other,
        serving(lambda request, _: send(request, b"", status=302, Location=other)) as base,
        pytest.raises(SourceError, match=r"a redirect"),
    ):
        source(base, 5).read(QUERY)
    assert asked == []


def test_trouble_that_passes_is_forgotten() -> None:
    statuses = [503, 429, 200]
    with serving(lambda request, _: send(request, b'{"bad": 1, "total": 9}', status=statuses.pop(0))) as base:
        assert source(base, 5).read(QUERY).total == 9
    assert statuses == []


@pytest.fixture
def own_certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    path = tmp_path / "server.pem"
    path.write_bytes(pem)
    return path


def test_only_certificates_that_are_trusted_are_believed(own_certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own_certificate)
    spec = HttpSource(url="", bad="bad", total="total")
    with serving(lambda request, _: send(request, b'{"bad": 0, "total": 900}'), tls) as base:
        there = replace(spec, url=f"{base}/")
        with pytest.raises(SourceError, match=r"certificate verify failed"):
            HttpMetrics(there, Path(), {}, pace=IMPATIENT).read(QUERY)
        trusting = HttpMetrics(there, Path(), {"SSL_CERT_FILE": str(own_certificate)}, pace=IMPATIENT)
        assert trusting.read(QUERY).total == 900


def test_missing_authorities_are_an_error(tmp_path: Path) -> None:
    spec = HttpSource(url="https://127.0.0.1:1/", bad="bad", total="total")
    with pytest.raises(SourceError, match=r"SSL_CERT_FILE"):
        HttpMetrics(spec, Path(), {"SSL_CERT_FILE": str(tmp_path / "none.pem")}, pace=IMPATIENT).read(QUERY)
