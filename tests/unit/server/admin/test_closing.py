from __future__ import annotations

from datetime import datetime
from pathlib import Path

from otagate.server.admin.closing import AdminClosing
from support.operators import NOW, Desk


class Now:
    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError


def test_failed_attempts_are_in_the_audit_when_the_server_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "t.db")
    closing = AdminClosing(desk.api, Now())
    closing.start()
    for _ in range(3):
        desk.call("GET", "/device", "nonsense")
    closing.stop()
    closing.stop()
    assert [entry.data["count"] for entry in desk.tokens.audit.entries()] == [1, 2]
    desk.close()
