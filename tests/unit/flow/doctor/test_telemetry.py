"""What doctor finds about telemetry, each by its code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import AccessError, ExitCode, NotFoundError, OtagateError, UnavailableError, VerificationError
from otagate.flow.doctor.codes import CODES
from otagate.flow.doctor.telemetry import _code
from support.counted import record, seen
from support.metric_server import send, serving
from support.shop import Said, Shop, open_shop


def shop_with(folder: Path, telemetry: str) -> Shop:
    shop = open_shop(folder / "app", published=False)
    with shop.path("otagate.yml").open("a") as policy:
        policy.write(f"telemetry: {telemetry}\n")
    return shop


def checks(said: Said) -> list[dict[str, Any]]:
    return [check for check in json.loads(said.out)["checks"] if check["group"] == "telemetry"]


def test_a_database_that_answers(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "{database: 'sqlite:///t.db'}")
    record(shop.path("t.db"), seen(1, "1.0.0", datetime.now(tz=UTC) - timedelta(minutes=20)))
    (found,) = checks(shop.run("doctor", "--json"))
    assert (found["name"], found["status"]) == ("database", "ok")
    assert found["detail"] == "1 devices heard in 24h, new ones with 1 releases"


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    said = shop_with(tmp_path, "{database: 'sqlite:///t.db'}").run("doctor", "--json")
    (found,) = checks(said)
    assert [problem["code"] for problem in found["problems"]] == ["telemetry.unusable"]
    assert said.code == ExitCode.USAGE


def test_a_policy_without_telemetry_has_no_such_check(tmp_path: Path) -> None:
    assert checks(open_shop(tmp_path / "app").run("doctor", "--json")) == []


@pytest.mark.integration
@pytest.mark.parametrize(("status", "codes"), [(200, []), (401, ["telemetry.refused"]), (404, ["telemetry.unreachable"])])
def test_a_server(status: int, codes: list[str], tmp_path: Path) -> None:
    said = {
        "releases": {"schema": "otagate/releases/v1", "releases": ["1.0.0"]},
        "active": {
            "schema": "otagate/active/v1",
            "active": [{"channel": "live", "release": "1.0.0", "platform": "ios", "devices": 5}],
        },
    }
    names = {"/api/v1/releases": "releases", "/api/v1/active": "active"}
    with serving(
        lambda request, _: send(request, json.dumps(said[names[request.path.partition("?")[0]]]).encode(), status=status)
    ) as base:
        shop = shop_with(tmp_path, f"{{server: '{base}'}}")
        (found,) = checks(shop.run("doctor", "--json", OTAGATE_SERVER_TOKEN="otg_token"))
    assert [problem["code"] for problem in found["problems"]] == codes
    assert found["name"] == "server"
    assert codes or found["detail"] == f"{base}: 5 devices heard in 24h, new ones with 1 releases"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AccessError("x"), "telemetry.refused"),
        (UnavailableError("x"), "telemetry.unreachable"),
        (VerificationError("x"), "telemetry.damaged"),
        (NotFoundError("x"), "telemetry.unusable"),
    ],
)
def test_each_failure_has_a_code(error: OtagateError, code: str) -> None:
    assert _code(error) == code
    assert CODES[code].exit_code is error.exit_code
