from __future__ import annotations

import stat
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import ConflictError, UnavailableError
from otagate.flow.demo import server as child
from otagate.flow.demo.counted import UpToNow
from otagate.flow.demo.shop import APP_ID, open_shop
from otagate.gate.interface import Measurement, MetricQuery
from otagate.policy.load import load_policy
from otagate.policy.model.gates import Action

NOW = datetime(2027, 1, 4, 9, 2, tzinfo=UTC)


def test_the_demos_app_can_be_shipped_and_its_policy_says_nothing_unwise(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    policy = load_policy(shop.policy)
    assert str(policy.app) == APP_ID
    assert policy.trust.keys == (shop.keys.trust,)
    assert [phase.name for phase in policy.tracks["production"].phases] == ["beta", "stable"]
    assert stat.S_IMODE((tmp_path / ".otagate" / "keys" / "signing.pem").stat().st_mode) == 0o600
    # Whichever gate sees the bad release first, the demo ends the same way.
    assert {gate.action for gate in policy.gates} == {Action.ROLLBACK}
    assert policy.judgement.alpha_pause == policy.judgement.alpha_rollback
    shop.build("1.1.0")
    assert "notifyAppReady" in (tmp_path / "dist" / "app.js").read_text()
    assert "1.1.0" in (tmp_path / "package.json").read_text()


def test_a_folder_with_an_app_is_left_alone(tmp_path: Path) -> None:
    open_shop(tmp_path)
    with pytest.raises(ConflictError):
        open_shop(tmp_path)


@dataclass
class Counts:
    """A source that remembers what it was asked."""

    asked: MetricQuery | None = None

    def read(self, query: MetricQuery) -> Measurement:
        self.asked = query
        return Measurement(1, 20, NOW.replace(minute=0), "counts")


def test_the_demo_counts_the_minutes_that_are_not_over() -> None:
    counts = Counts()
    query = MetricQuery("crash_rate", APP_ID, "beta", "1.1.0", NOW.replace(minute=1), NOW, 10_000)
    found = UpToNow(counts).read(query)
    assert counts.asked is not None
    assert counts.asked.end == NOW.replace(minute=7)
    assert (found.bad, found.total, found.newest_at) == (1, 20, None)


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".otagate").mkdir()

    class Child:
        """A child that is over at once."""

        def __init__(self, *_argv: Any, stdout: Any, **_more: Any) -> None:
            stdout.write(b"error: no\n")

        def poll(self) -> int:
            return 2

        def terminate(self) -> None:
            pass

        def wait(self, _timeout: float | None = None) -> int:
            return 2

    monkeypatch.setattr(subprocess, "Popen", Child)
    with pytest.raises(UnavailableError, match="error: no"), child.serving(tmp_path, {}):
        pass
