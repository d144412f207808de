"""What is wrong with the environment's proxies and certificates is the user's to mend, and no bug."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otagate._client import open_client
from otagate.errors import UsageError
from otagate.notify.interface import NotifyError
from otagate.notify.message import Happening, compose
from otagate.notify.registry import open_notifier
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.store.time_told import time_at

PROXIES = ["foo:bar", "gopher://user:a-proxy-password@127.0.0.1", "socks5://127.0.0.1:1"]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize("value", PROXIES)
def test_a_proxy_that_cannot_be_used_is_named_and_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name) as caught:
        open_client()
    assert "a-proxy-password" not in f"{caught.value}{caught.value!r}"
    open_client(trust_env=False).close()


@pytest.mark.parametrize("is_there", [False, True])
def test_certificates_that_cannot_be_read_are_named(is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    if is_there:
        (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        open_client()


def test_telling_somebody_does_not_end_what_it_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXIES[0])
    spec = NotifySpec("team", NotifyKind.SLACK, "env:SLACK")
    notifier = open_notifier(spec, {"SLACK": "https://hooks.example/T00/B00"}, Path())
    with pytest.raises(NotifyError, match="HTTPS_PROXY") as caught:
        notifier.send(compose(Happening("com.example.app", 7, datetime(2026, 11, 21, tzinfo=UTC), "rollout.paused", {})))
    assert (caught.value.subject, "T00" in str(caught.value)) == ("team", False)


def test_a_service_whose_time_cannot_be_asked_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXIES[2])
    assert os.environ["ALL_PROXY"]
    assert time_at("https://store.example/bucket") is None
